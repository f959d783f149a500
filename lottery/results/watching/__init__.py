"""The live page of `lottery watch`: what there is of runs, how it changes, and the server."""
