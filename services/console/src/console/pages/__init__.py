"""The pages of people who are signed in: a file for each noun. Of `access` they know `session` alone."""

from console.pages import live, story
from console.pages.care import first, offer, person
from console.pages.plan import decide, queue

ROUTERS = (live.router, story.router, queue.router, decide.router, first.router, offer.router, person.router)
