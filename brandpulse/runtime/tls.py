"""What to do about a server's certificate that is not accepted."""


def certificate_remedy(reason: str, *, ca_file: str) -> str:
    """What mends a certificate that OpenSSL rejects for *reason*; *ca_file* is the setting that names the CA."""
    if "expired" in reason or "not yet valid" in reason:
        return f"The server's certificate is out of date ({reason}): renew it, or check both clocks"
    if "mismatch" in reason:
        return f"The server's certificate is for another host ({reason}): use the host name in its certificate"
    return f"Set {ca_file} to the CA that signed the server's certificate ({reason or 'its CA is not trusted'})"
