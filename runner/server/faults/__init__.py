"""The fault lab: switches that make the server lose, delay, cut or refuse, on purpose."""
