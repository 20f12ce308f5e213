"""The pages of people who are signed in: a file for each noun. Of `access` they know `session` alone."""

from console.pages import live, mailbox, story
from console.pages.care import first, offer, person
from console.pages.plan import decide, queue
from console.pages.refer import answers, form, mine

ROUTERS = (live.router, story.router, queue.router, decide.router, first.router, offer.router, person.router, mailbox.router, form.router, answers.router, mine.router)
