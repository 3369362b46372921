"""What people do in Slack: votes, forms, commands; and whether Slack is set up well."""
