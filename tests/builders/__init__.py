"""What several tests need made: organizations, forms, facts, and each service's commands with their contexts.

`organizations` names who takes part; `forms` has what a referrer sends; `facts` what services publish, with the least
that an event needs; `intake`, `authorization`, `assignment` and `notification` what the rules of a service are asked;
`every_event` one loop in every event there is; `policy_rows` what a plan adds to policy. A builder takes what the test
says and fills in the rest; it opens nothing.
"""
