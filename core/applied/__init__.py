"""What is applied on each target is watched, and the scripts of it are kept in the audit trail."""
