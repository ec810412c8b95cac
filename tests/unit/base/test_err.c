/* Codes, names and order of base/err.h; the assertion; pids. */
#include "check.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/pid.h"
#include "base/sh_assert.h"

static void public_codes_keep_their_numbers(void **state)
{
    static const char *const names[] = {"timeout",    "not_found",  "not_running", "mailbox_full",
                                        "no_handler", "bad_value",  "handler",     "unreachable",
                                        "refused",    "name_taken", "bad_address", "closed",
                                        "cancelled",  "limit",      "unsupported", "usage"};
    (void)state;
    for (size_t i = 0; i < COUNT(names); i++) {
        assert_string_equal(sh_err_name(-1 - (int)i), names[i]);
        assert_true(strlen(sh_err_text(-1 - (int)i)) > 5);
    }
    assert_int_equal(SH_E_USAGE, -16);
    assert_int_equal(SH_E_PROTO, -32);
    assert_int_equal(SH_E_NOMEM, -35);
    assert_string_equal(sh_err_name(-17), "unknown");
    assert_string_equal(sh_err_name(0), "ok");
    assert_string_equal(sh_err_name(7), "ok");
    assert_string_equal(sh_err_text(INT32_MIN), "unknown error");
}

static void reasons_have_names(void **state)
{
    (void)state;
    assert_string_equal(sh_reason_name(SH_NORMAL), "normal");
    assert_string_equal(sh_reason_name(SH_PEER_LOST), "peer_lost");
    assert_string_equal(sh_reason_name(SH_GONE), "gone");
    assert_string_equal(sh_reason_name(7), "unknown");
    assert_string_equal(sh_reason_name(-1), "unknown");
}

static void pid_parts_round_trip(void **state)
{
    (void)state;
    uint64_t actor = sh_pid_actor(0xdeadbeef, 255, 0xffffff);
    assert_int_equal(sh_pid_generation(actor), 0xdeadbeef);
    assert_int_equal(sh_pid_executor(actor), 255);
    assert_int_equal(sh_pid_slot(actor), 0xffffff);
    actor = sh_pid_actor(1, 2, 3);
    assert_true(actor == ((UINT64_C(1) << 32) | (2u << 24) | 3));
    sh_pid a = {actor, 4, 5};
    sh_pid b = a;
    assert_true(sh_pid_eq(a, b));
    b.check++;
    assert_false(sh_pid_eq(a, b));
    assert_true(sh_pid_is_none(sh_pid_none()));
    assert_false(sh_pid_is_none(a));
}

static void a_broken_assertion_aborts(void **state)
{
    int status = 0;
    (void)state;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        freopen("/dev/null", "w", stderr) ? (void)0 : _exit(1);
        signal(SIGABRT, SIG_DFL);
        SH_ASSERT(child != 0);
        _exit(0);
    }
    assert_true(waitpid(child, &status, 0) == child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(public_codes_keep_their_numbers),
        cmocka_unit_test(reasons_have_names),
        cmocka_unit_test(pid_parts_round_trip),
        cmocka_unit_test(a_broken_assertion_aborts),
    };
    return RUN(tests);
}
