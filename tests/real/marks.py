"""What marks a secret, and finds it in each form that programs write it in."""

import base64
import re

# In each of them, and in nothing else.
MARK = "T0P/S3CRET"


def marks() -> list[re.Pattern]:
    """What shows a secret in plain text, percent-encoded or escaped, and in base64."""
    found = [re.compile("S3CRET", re.IGNORECASE)]
    for before in range(3):
        # What the neighbours have no part in.
        text = base64.b64encode(b"x" * before + MARK.encode()).decode()
        text = text[(before * 8 + 5) // 6 : (before + len(MARK)) * 8 // 6]
        found.append(re.compile(re.escape(text).replace(r"\+", "[-+]").replace("/", "[_/]")))
    return found
