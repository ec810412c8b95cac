"""The shape of the shoal command: what it has, what it has not, exit statuses, keygen."""
import os
import stat
import subprocess
import threading
import unittest

from support import SHOAL, main, rows, scratch, shoal


class Usage(unittest.TestCase):
    def test_alone_it_prints_what_there_is(self):
        for args in ((), ("--help",), ("-h",)):
            status, out, err = shoal(*args)
            self.assertEqual((status, err), (0, ""))
            for word in ("keygen", "node", "lookup", "ask", "tell", "ps", "--dial", "--json"):
                self.assertIn(word, out)

    def test_version(self):
        status, out, _ = shoal("--version")
        self.assertEqual(status, 0)
        self.assertRegex(out, r"^shoal \d+\.\d+\.\d+\n$")

    def test_help_of_a_command(self):
        status, out, _ = shoal("ask", "--help")
        self.assertEqual(status, 0)
        self.assertIn("usage: shoal ask NAME|REF MESSAGE [JSON]", out)

    def test_wrong_usage(self):
        cases = [
            ("dance",), ("--json",), ("--json", "ps"), ("--listen", "x"), ("publish", "t", "m"), ("top",), ("doctor",), ("bench",),
            ("keygen",), ("keygen", "a", "b"), ("lookup",), ("lookup", "a", "b"), ("ask",), ("ask", "a"), ("ask", "a", "b", "1", "2"),
            ("tell", "a"), ("ps",), ("ps", "x"), ("node", "a.lua", "b.lua"), ("node", "script.rb"), ("node", "no_such.py"),
            ("lookup", "a", "--nope"), ("lookup", "a", "--dial"), ("lookup", "a", "--dial="), ("lookup", "a", "--json=1"),
            ("lookup", "a", "--listen", "/ip4/127.0.0.1/tcp/0"), ("lookup", "a", "--admin", "all"), ("lookup", "a", "--swarm-key", "f"),
            ("lookup", "a", "--timeout", "soon"), ("lookup", "a", "--timeout", "-1"), ("lookup", "a", "--timeout", "nan"),
            ("ask", "a", "m", "{"), ("ask", "a", "m", ""), ("tell", "a", "m", "[1,]"),
        ]
        for args in cases:
            with self.subTest(args):
                status, out, err = shoal(*args)
                self.assertEqual((status, out), (2, ""), err)
                self.assertRegex(err, r"(?m)^usage: shoal ")

    def test_errors_are_said(self):
        status, out, err = shoal("lookup", "a", "--dial", "nonsense")
        self.assertEqual((status, out), (1, ""))
        self.assertTrue(err.startswith("shoal lookup: bad_address: "), err)
        status, said = rows("lookup", "a", "--dial=nonsense")
        self.assertEqual(status, 1)
        self.assertEqual(set(said[0]["error"]), {"code", "text", "delivery"})
        self.assertEqual((said[0]["error"]["code"], said[0]["error"]["delivery"]), ("bad_address", "not_sent"))

    def test_output_that_cannot_be_written_is_a_failure(self):
        with open("/dev/full", "w") as full:
            self.assertEqual(subprocess.run([SHOAL, "keygen", str(scratch / "full")], stdout=full).returncode, 1)


class Keygen(unittest.TestCase):
    def test_makes_a_key_for_its_owner_only(self):
        path = scratch / "new"
        old = os.umask(0)
        try:
            status, out, _ = shoal("keygen", path)
        finally:
            os.umask(old)
        self.assertEqual(status, 0)
        self.assertRegex(out, r"^12D3KooW[1-9A-HJ-NP-Za-km-z]{44}\n$")
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        self.assertEqual(path.read_bytes()[:4], b"\x08\x01\x12\x40")
        self.assertEqual(path.stat().st_nlink, 1)
        self.assertFalse([p for p in scratch.iterdir() if p.name.startswith("new.")])

    def test_json(self):
        status, said = rows("keygen", scratch / "json")
        self.assertEqual((status, list(said[0])), (0, ["peer_id"]))

    def test_never_overwrites(self):
        path, link = scratch / "old", scratch / "dangling"
        path.write_bytes(b"precious")
        link.symlink_to(scratch / "nowhere")
        for target in (path, link):
            status, said = rows("keygen", target)
            self.assertEqual((status, said[0]["error"]["code"]), (1, "refused"))
        self.assertEqual(path.read_bytes(), b"precious")
        self.assertFalse((scratch / "nowhere").exists())

    def test_no_such_folder(self):
        self.assertEqual(rows("keygen", scratch / "none/key")[0], 1)

    def test_one_of_many_at_once_wins(self):
        path, results = scratch / "race", []
        threads = [threading.Thread(target=lambda: results.append(shoal("keygen", path))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(sorted(status for status, _, _ in results), [0] + [1] * 7)


if __name__ == "__main__":
    main()
