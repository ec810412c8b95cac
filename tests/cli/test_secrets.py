"""The shoal command never says its key: nothing that it prints, well or in trouble, holds eight bytes of it in any form."""
import base64
import os
import unittest

from support import LISTEN, Program, SHOAL, main, scratch, shoal

BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def base58(data):
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = BASE58[digit] + text
    return text


def forms(key):
    """What eight bytes of a key file's secret look like, wherever they lie in something longer."""
    secret = key[4:36]
    for at in range(len(secret) - 8):
        part = secret[at:at + 8]
        yield part
        yield part.hex().encode()
        yield part.hex().upper().encode()
        yield base64.b64encode(part)[:10]
        yield base64.urlsafe_b64encode(part)[:10]
        yield base64.b32encode(secret[at:at + 10])
        yield ", ".join(map(str, part)).encode()
    for whole in (secret, key, key[:36]):
        yield base58(whole).encode()


def leaks(said, key):
    return [form for form in forms(key) if form in said]


class Secrets(unittest.TestCase):
    def test_no_command_says_its_key(self):
        file, said = str(scratch / "secret"), []
        self.assertEqual(shoal("keygen", file)[0], 0)
        with open(file, "rb") as f:
            key = f.read()
        node = Program(SHOAL, "node", *LISTEN, "--admin", "all", "--key", file, "--json")
        first = node.line_with("/p2p/")
        said.append(first)
        address = "/ip4" + first.split("/ip4", 1)[1].split('"')[0]
        other = str(scratch / "other")
        for args in (("keygen", file), ("ps", "--dial", address), ("lookup", "nobody", "--dial", address, "--timeout", "0"),
                     ("ask", "nobody", "inc", "--dial", address, "--timeout", "0.2"), ("ps", "--dial", address + "x"),
                     ("ps", "--dial", "/ip4/127.0.0.1/tcp/1"), ("keygen", "/nowhere/key")):
            for more in ((), ("--json",), ("--key", other), ("--key", file)):
                said += shoal(*args, *more)[1:] if not (args[0] == "keygen" and "--key" in more) else ()
        node.process.terminate()
        out, err = node.process.communicate(timeout=20)
        said += [out.decode("latin-1"), err.decode("latin-1"), node.rest.decode("latin-1")]
        for spoilt in (key[:20], key[:-1] + b"\0", key[4:36], key + b"more", key.hex().encode()):
            with open(file, "wb") as f:
                f.write(spoilt)
            said += shoal("ps", "--dial", address, "--key", file)[1:]
        os.chmod(file, 0o644)
        said += shoal("ps", "--dial", address, "--key", file)[1:]
        with open(other, "rb") as f:
            second = f.read()
        text = "\n".join(said).encode("utf-8", "surrogateescape")
        self.assertGreater(len(text), 500)
        self.assertEqual(leaks(text, key) + leaks(text, second), [])

    def test_the_search_sees(self):
        key = b"\x08\x01\x12\x40" + bytes((77 * i + 131) % 256 for i in range(64))
        secret = key[4:36]
        for said in (secret[5:20], secret.hex().encode(), base64.b64encode(key), base64.b64encode(secret), base64.b64encode(b"x" + key),
                     base64.b32encode(key), base58(secret).encode(), base58(key).encode(), str(list(secret)).encode()):
            self.assertTrue(leaks(b"key " + said, key), said)
        self.assertEqual(leaks(b"12D3KooWGUjDWcQeCm1DJfMZNUEpcHzrmqMysPYNT2CNmV5WfiJV", key), [])


if __name__ == "__main__":
    main()
