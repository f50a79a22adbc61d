"""The one exception whose message is meant for the user."""


class BertFtError(Exception):
    """A fault that the user can mend.

    ``str(error)`` is one line: what is wrong, where, and how to mend it. The commands print it and exit with a
    status other than zero; the server sends it to the caller. Anything else that is raised is a defect.
    """
