"""The routes of accounts: signing in and out, enrolling, one's own page, the people of an organization."""

from console.accounts import enrol, me, own_sign_in, people, signin

ROUTERS = (signin.router, enrol.router, own_sign_in.router, me.router, people.router)
