"""lookup, ask, tell and ps against a node of another process; values as JSON, both ways."""
import json
import random
import time
import unittest

from support import Host, main, rows, scratch, shoal


class WithHost(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.host = Host("host")
        cls.dial = ("--dial", cls.host.address)

    @classmethod
    def tearDownClass(cls):
        cls.host.close()

    def error(self, *args):
        status, said = rows(*args)
        self.assertEqual((status, len(said), list(said[0])), (1, 1, ["error"]))
        self.assertEqual(set(said[0]["error"]), {"code", "text", "delivery"})
        self.assertNotEqual(said[0]["error"]["text"], "")
        return said[0]["error"]["code"], said[0]["error"]["delivery"]


class Lookup(WithHost):
    def test_gives_a_ref(self):
        self.assertEqual(shoal("lookup", "host", *self.dial), (0, self.host.ref + "\n", ""))
        self.assertEqual(rows("lookup", "host", *self.dial), (0, [{"value": {"$ref": self.host.ref}}]))

    def test_looks_until_its_timeout(self):
        begin = time.monotonic()
        self.assertEqual(self.error("lookup", "nobody", "--timeout", "0.7", *self.dial), ("not_found", "not_sent"))
        self.assertGreaterEqual(time.monotonic() - begin, 0.65)

    def test_one_pass(self):
        begin = time.monotonic()
        self.assertEqual(self.error("lookup", "nobody", "--timeout", "0", *self.dial), ("not_found", "not_sent"))
        self.assertLess(time.monotonic() - begin, 4)

    def test_alone_there_is_nobody(self):
        self.assertEqual(self.error("lookup", "host", "--timeout", "0"), ("not_found", "not_sent"))

    def test_one_dial_of_two_is_enough(self):
        status, _, _ = shoal("lookup", "host", "--dial", "/ip4/127.0.0.1/tcp/1", *self.dial)
        self.assertEqual(status, 0)

    def test_nobody_answers(self):
        self.assertEqual(self.error("lookup", "host", "--dial", "/ip4/127.0.0.1/tcp/1")[0], "unreachable")

    def test_bad_name(self):
        self.assertEqual(self.error("lookup", "x" * 256, *self.dial)[0], "bad_value")


class Ask(WithHost):
    def echo(self, text):
        status, said = rows("ask", self.host.ref, "echo", text, *self.dial)
        self.assertEqual((status, len(said)), (0, 1), said)
        return said[0]["value"]

    def test_by_name_and_by_ref(self):
        for whom in ("host", self.host.ref):
            self.assertEqual(shoal("ask", whom, "echo", '{"amount":5}', *self.dial), (0, '{"amount": 5}\n', ""))

    def test_without_a_value_it_is_nil(self):
        self.assertEqual(shoal("ask", "host", "echo", *self.dial), (0, "null\n", ""))

    def test_the_same_text_comes_back(self):
        same = [
            "null", "true", "false", "0", "-1", "127", "-9223372036854775808", "9223372036854775807", "9223372036854775808",
            "18446744073709551615", "9007199254740993", "1.0", "-0.0", "0.1", "1e+300", "5e-324", "1.7976931348623157e+308",
            '""', '"h\u00e9 \U0001f600 \\u0000 \\" \\\\ \\n"', "[]", "{}", "[null, [], {}]", '{"a": [1, 1.0, "1"]}',
            '{"$bytes": ""}', '{"$bytes": "AA=="}', '{"$bytes": "AAE="}', '{"$bytes": "AAEC"}', '{"$bytes": "//79+g=="}',
            '{"$float": "nan"}', '{"$float": "inf"}', '{"$float": "-inf"}', '{"$ref": "%s"}' % self.host.ref,
            '{"$map": [[1, "a"], ["b", {"$float": "nan"}]]}', '{"$map": [["$ref", "not one"]]}', '{"$other": 1, "b": 2}',
            "[" * 32 + "]" * 32,
        ]
        status, out, err = shoal("ask", self.host.ref, "echo", "[" + ", ".join(same[:-1]) + "]", *self.dial, "--json")
        self.assertEqual((status, out), (0, '{"value": [' + ", ".join(same[:-1]) + "]}\n"), err)
        self.assertEqual(shoal("ask", self.host.ref, "echo", same[-1], *self.dial, "--json")[1], '{"value": ' + same[-1] + "}\n")

    def test_other_ways_to_write_it(self):
        cases = {
            " [ 1 , 2 ] ": "[1, 2]", "-0": "0", "1E3": "1000.0", "1e2": "100.0", "1e22": "1e+22", "-5": "-5", "123456789012345.0": "123456789012345.0",
            r'"\u0041\ud83d\ude00\/\b\f\r\t\u00FF"': '"A\U0001f600/\\u0008\\u000c\\r\\t\u00ff"', '{ "$map" : [ ] }': "{}",
            '{"\\u0024bytes":"AA=="}': '{"$bytes": "AA=="}', '"\x7f\x85"': '"\\u007f\\u0085"', '{"$map":[["a",1]]}': '{"a": 1}',
        }
        for text, wanted in cases.items():
            with self.subTest(text):
                self.assertEqual(shoal("ask", "host", "echo", text, *self.dial, "--json"), (0, '{"value": ' + wanted + "}\n", ""))

    def test_random_values_come_back(self):
        rng = random.Random(20)

        def value(depth):
            pick = rng.randrange(9 if depth < 4 else 7)
            if pick == 0:
                return rng.choice([None, True, False])
            if pick < 3:
                return rng.randrange(-2**63, 2**64) >> rng.randrange(64)
            if pick < 5:
                return rng.choice([rng.random(), rng.uniform(-1e9, 1e9), rng.random() * 10.0 ** rng.randrange(-300, 300)])
            if pick < 7:
                return "".join(chr(rng.choice([rng.randrange(32, 127), rng.randrange(0xa0, 0xd800), rng.randrange(0x10000, 0x110000)])) for _ in range(rng.randrange(12)))
            if pick == 7:
                return [value(depth + 1) for _ in range(rng.randrange(6))]
            return {f"k{i}": value(depth + 1) for i in range(rng.randrange(6))}

        for _ in range(20):
            sent = value(0)
            got = self.echo(json.dumps(sent, ensure_ascii=rng.random() < 0.5))
            self.assertEqual(json.dumps(got), json.dumps(sent))

    def test_not_json(self):
        cases = ["nul", "01", "1.", ".5", "+1", "1e", "0x1", "'a'", '"a', '"\n"', '"\\x"', '"\\u12g4"', "[1 2]", "[1,]", "{1:2}", '{"a"}', '{"a":1,}', "[1]]", "1 2",
                 "nan", "[}", '{"$bytes"}']
        for text in cases:
            with self.subTest(text):
                status, out, err = shoal("ask", "host", "echo", text, *self.dial)
                self.assertEqual((status, out), (2, ""), err)
                self.assertIn("at byte", err)

    def test_json_that_is_no_value(self):
        cases = ["18446744073709551616", "-9223372036854775809", "1e999", '"\\ud800"', '"\\udc00\\ud800"', '"\\ud800\\u0041"', "[" * 33 + "]" * 33, '{"$bytes": "A"}', '{"$bytes": "AA="}', '{"$bytes": "AB=="}',
                 '{"$bytes": 1}', '{"$ref": "x"}', '{"$float": "1"}', '{"$map": {}}', '{"$map": [[1]]}', '{"$map": [[1.5, 2]]}']
        for text in cases:
            with self.subTest(text):
                self.assertEqual(self.error("ask", "host", "echo", text, *self.dial), ("bad_value", "not_sent"))
        status, out, _ = shoal("ask", "host", "echo", b'"\xff"', *self.dial, "--json")
        self.assertEqual((status, json.loads(out)["error"]["code"]), (1, "bad_value"))

    def test_what_json_has_no_form_for(self):
        self.assertEqual(rows("ask", "host", "odd", *self.dial)[1],
                         [{"value": {"$map": [[-7, "minus\x9b[31m"], ["$bytes", "text"], [2**64 - 1, {}]]}}])
        self.assertEqual(shoal("ask", "host", "odd", *self.dial)[1],
                         '{-7: "minus\\u009b[31m", "$bytes": "text", 18446744073709551615: {}}\n')

    def test_for_people(self):
        self.assertEqual(shoal("ask", "host", "me", *self.dial)[1], self.host.ref + "\n")
        self.assertEqual(shoal("ask", "host", "echo", '[{"$bytes":"AAE="},{"$float":"-inf"},1.0]', *self.dial)[1], "[<AAE=>, -inf, 1.0]\n")

    def test_errors(self):
        self.assertEqual(self.error("ask", "host", "fail", "1", *self.dial), ("handler", "handled"))
        self.assertEqual(self.error("ask", "host", "dance", *self.dial), ("no_handler", "not_sent"))
        self.assertEqual(self.error("ask", "host", "mute", "--timeout", "0.5", *self.dial), ("timeout", "unknown"))
        self.assertEqual(self.error("ask", "nobody", "echo", "--timeout", "0.5", *self.dial), ("not_found", "not_sent"))
        gone = "00000000000fffff" + self.host.ref[16:]
        self.assertIn(self.error("ask", gone, "echo", *self.dial)[0], ("refused", "not_running"))
        self.assertEqual(self.error("ask", "0" * 16 + "@nobody", "echo", *self.dial), ("bad_value", "not_sent"))
        self.assertEqual(self.error("ask", self.host.ref, "echo", "--timeout", "1")[0], "unreachable")
        status, out, err = shoal("ask", "host", "fail", *self.dial)
        self.assertEqual((status, out), (1, ""))
        self.assertEqual(err, "shoal ask: handler: Misfortune: no such luck (handled)\n")


class Tell(WithHost):
    def test_arrives_before_it_returns(self):
        before = rows("ask", "host", "add", '{"amount":0}', *self.dial)[1][0]["value"]
        self.assertEqual(shoal("tell", "host", "add", '{"amount":5}', *self.dial), (0, "", ""))
        self.assertEqual(rows("tell", self.host.ref, "add", '{"amount":2}', *self.dial), (0, [{"value": None}]))
        self.assertEqual(rows("ask", "host", "add", '{"amount":0}', *self.dial)[1][0]["value"], before + 7)

    def test_a_loss_is_known(self):
        host = Host("mortal")
        self.addCleanup(host.close)
        dial = ("--dial", host.address)
        self.assertEqual(shoal("ask", host.ref, "end", *dial)[0], 0)
        self.assertIn(self.error("tell", host.ref, "add", *dial)[0], ("not_running", "refused"))
        self.assertEqual(self.error("tell", host.ref, "add", "--timeout", "1")[0], "unreachable")


class Ps(unittest.TestCase):
    def test_rows_and_table(self):
        key = scratch / "admin"
        peer = shoal("keygen", key)[1].strip()
        host = Host("counted", peer)
        self.addCleanup(host.close)
        args = ("ps", "--dial", host.address, "--key", key)
        status, said = rows(*args)
        row = {"ref": {"$ref": host.ref}, "id": "test.host", "names": ["counted"], "state": said[0]["state"], "mailbox": 0,
               "handled": said[0]["handled"], "restarts": 0, "parent": None}
        self.assertEqual((status, said), (0, [row]))
        status, out, err = shoal(*args)
        self.assertEqual((status, err), (0, ""))
        head, line = out.splitlines()
        self.assertEqual(head.split(), ["ID", "NAMES", "STATE", "MAILBOX", "HANDLED", "RESTARTS", "PARENT", "REF"])
        self.assertEqual(line.split()[:2] + line.split()[-2:], ["test.host", "counted", "-", host.ref])
        self.assertEqual(head.index("REF"), line.index(host.ref))

    def test_of_several_nodes(self):
        hosts = [Host("one", "all"), Host("two", "all")]
        for host in hosts:
            self.addCleanup(host.close)
        dials = [word for host in hosts for word in ("--dial", host.address)]
        self.assertEqual([row["names"] for row in rows("ps", *dials)[1]], [["one"], ["two"]])
        self.assertEqual(shoal("ps", *dials)[1].count("\nID"), 2)

    def test_refused_to_others(self):
        host = Host("private")
        self.addCleanup(host.close)
        status, said = rows("ps", "--dial", host.address)
        self.assertEqual((status, said[0]["error"]["code"]), (1, "refused"))

    def test_not_a_node(self):
        status, said = rows("ps", "--dial", "/ip4/127.0.0.1/tcp/1")
        self.assertEqual((status, said[0]["error"]["code"]), (1, "unreachable"))


if __name__ == "__main__":
    main()
