"""Events of other services that chassis tests note."""

from tests.builders import facts

REVIEW = facts.review_opened()
STARTED = facts.services_started()
