"""Who somebody is, which account is whose, and who is enrolled as an approver."""
