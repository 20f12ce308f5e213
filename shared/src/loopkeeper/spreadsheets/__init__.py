"""Reading and writing spreadsheets: one reader for every file that anybody sends, and the writers of what goes back.

A file is bytes; `book.opened` tells by its content what it is and gives its sheets, each a stream of rows. `headings`
finds the row that names the columns; `values` reads one cell as a date, a count, a yes or a no. `upload` is the same
reader for bodies that arrive in pieces. Nothing here knows a plan or a person, and nothing is kept: memory is bounded
by `Limits`, formulas are never calculated, links are never followed, and what cannot be read is refused with a reason.
"""

from loopkeeper.spreadsheets.cells import Broken, Limits, Row, Unreadable, Value

__all__ = ["Broken", "Limits", "Row", "Unreadable", "Value"]
