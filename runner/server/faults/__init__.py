"""The fault lab: layers around a server that knows of no faults.

`switches` is the table of them. `http` stands around every endpoint (status, delay, dropped and cut connections),
`engine` around every model, `dialect`, `store`, `pace` and `outputs` around what the worker asks. What only one API can
get wrong is in that API's own `faults` module. `app` and `serve` put the layers together: nobody else knows of faults.
"""
