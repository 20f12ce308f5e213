"""The files of plans, providers and clinics: member information, return transmission, outreach tracking, referrals.

A **profile** (YAML, one a plan, dated, sourced) says how a plan writes each kind of file; nothing of a plan is code. A
file is read by its profile into **records** of our own fields; the rules of each kind judge the records against what is
known of the sender's own members and say of every row what it becomes: facts, nothing new, or a refusal with its
column and what to do. All of it is pure but `profile_folder`, which reads the profiles from disk.
"""
