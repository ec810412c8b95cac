/* abi/driver_io.c - the driver of ordinary nodes: this machine's network, clock and threads. */
#include "internal.h"

static uint64_t drive_token(void *driver)
{
    (void)driver;
    return sh_io_token();
}

static uint64_t drive_now_us(void *driver)
{
    return sh_io_now_us(driver);
}

static int drive_inside(void *driver, abi_inside_fn *fn, void *ud)
{
    return sh_io_inside(driver, fn, ud);
}

static bool drive_may_enter(void *driver)
{
    return sh_io_is_open(driver);
}

static int drive_poll(void *driver, uint64_t budget_us, int64_t wait_ms, struct sh_io_work *work)
{
    return sh_io_poll(driver, budget_us, wait_ms, work);
}

static int drive_wait(void *driver, bool (*done)(void *ud), void *ud)
{
    return sh_io_wait(driver, done, ud, -1);
}

static void drive_wake(void *driver)
{
    sh_io_wake(driver);
}

static int drive_fd(void *driver)
{
    return sh_io_fd(driver);
}

static int64_t drive_next_timeout_ms(void *driver)
{
    return sh_io_next_timeout_ms(driver);
}

static uint32_t drive_backlog(void *driver)
{
    return sh_io_backlog(driver);
}

static int drive_listen(void *driver, const char *addr, char why[SH_IO_WHY_MAX])
{
    return sh_io_listen(driver, addr, why);
}

static int drive_address(void *driver, size_t i, char *buf, size_t cap)
{
    return sh_io_address(driver, i, buf, cap);
}

static void drive_free(void *driver)
{
    sh_io_free(driver);
}

static const struct abi_driver io_driver = {
    .token = drive_token,
    .now_us = drive_now_us,
    .inside = drive_inside,
    .may_enter = drive_may_enter,
    .poll = drive_poll,
    .wait = drive_wait,
    .wake = drive_wake,
    .fd = drive_fd,
    .next_timeout_ms = drive_next_timeout_ms,
    .backlog = drive_backlog,
    .listen = drive_listen,
    .address = drive_address,
    .free = drive_free,
};

int abi_drive_io(shoal_node *node, void *ud, struct sh_io_config *cfg, char why[SH_IO_WHY_MAX])
{
    (void)ud;
    sh_io *io = NULL;
    int code = sh_io_new(cfg, &io, why);
    if (code < 0) {
        return code;
    }
    node->ops = &io_driver;
    node->driver = io;
    node->core = sh_io_node(io);
    node->rt = sh_io_runtime(io);
    return 0;
}
