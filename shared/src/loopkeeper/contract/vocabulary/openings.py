"""Why may somebody open who a member is? What is written down with each opening (loop.md 1.7)."""

from __future__ import annotations

from loopkeeper.contract.vocabulary.codes import Code


class OpeningReason(Code):
    """The reason somebody gives; its label is what the audit keeps."""

    DECIDE = "decide", "to decide the authorization"
    SERVE = "serve", "to find and serve the member"
    KNOW = "know", "to know who was referred"
    READ_FORM = "read_form", "to read the referral's form"
    TELL = "tell", "to tell the member or the referrer"
    TELL_APART = "tell_apart", "to judge whether two referrals are of one member"
    MEMBER_ASKED = "member_asked", "because the member asked"
    COMPLAINT = "complaint", "to answer a complaint, an appeal or a hearing"
    REVIEW = "review", "to review how the referral was handled"
