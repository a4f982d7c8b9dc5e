"""The sample application that the demonstration and the tests roll back."""
