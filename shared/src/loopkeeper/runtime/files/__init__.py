"""Files that organizations send: taken whole, read by a profile, judged by pure rules, and acted on row by row.

A service that takes a kind of file gives a `FileKind`; `routes.routes_of` makes its routes, `worker.worker_of` the
worker that reads and acts. `taking_in` keeps the bytes, `records` what became of each row, `taking_back` what persons
say of the whole. The life of a file:

    receiving    its bytes come in, sealed a part at a time
    received     whole; the worker opens it, reads it by the profile of its period and judges every row
    acting       the outcome of each row is kept; rows act in the order of the dates they bear, through the same rules
                 as the routes
    done         or `refused` whole; a dry run is done once it was judged
    held         more of its rows are refused than the plan lets act, or a person wants it taken back
    taken_back   two persons took it back; rows that had not acted never do

A file whose key is not here waits where it is, says so, and goes on once the key is back.
"""
