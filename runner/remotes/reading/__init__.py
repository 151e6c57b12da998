"""Reading what a remote wrote. `verdict`: what is read; `lines` and `answers`: how most remotes write it. Pure."""
