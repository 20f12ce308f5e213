"""The pages of people who are signed in: a file for each noun. Of `access` they know `session` alone."""

from console.pages import live, mailbox, story
from console.pages.care import entry, offer, person
from console.pages.care import first as care
from console.pages.files import first as files
from console.pages.files import one as file
from console.pages.ops import directory, organizations, parked
from console.pages.ops import first as ops
from console.pages.plan import asked, decide, loops, question, queue, terms
from console.pages.record import page as record
from console.pages.refer import answers, form, mine

ROUTERS = (
    live.router,
    story.router,
    record.router,
    queue.router,
    decide.router,
    asked.router,
    question.router,
    terms.router,
    loops.router,
    care.router,
    offer.router,
    person.router,
    entry.router,
    mailbox.router,
    form.router,
    answers.router,
    mine.router,
    files.router,
    file.router,
    ops.router,
    parked.router,
    organizations.router,
    directory.router,
)
