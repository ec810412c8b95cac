/* peer_zmq.c - ZeroMQ with CURVE beside our remote rows, over loopback, the far end a process of its own.
 *   peer_zmq ask64 COUNT    us a round trip of 64 bytes, REQ and REP
 *   peer_zmq tell64 COUNT   million messages a second of 64 bytes, PUSH and PULL, until the last one came
 *   peer_zmq tell64k COUNT  MB a second of 64 KiB messages, likewise
 * PEER_CPU names the processor of the far end. */
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

enum { SMALL = 64, BIG = 65536, KEY = 41, TEXT = 256 };

struct keys {
    char public[KEY], secret[KEY];
};

static void must(int ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "%s: %s\n", what, zmq_strerror(zmq_errno()));
        exit(1);
    }
}

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void serve(const struct keys *keys, int asks, uint64_t count, int fd)
{
    const char *cpu = getenv("PEER_CPU");
    if (cpu) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET((size_t)atoi(cpu), &set);
        sched_setaffinity(0, sizeof set, &set);
    }
    void *context = zmq_ctx_new(), *socket = zmq_socket(context, asks ? ZMQ_REP : ZMQ_PULL);
    int one = 1;
    char address[TEXT], *room = malloc(BIG);
    size_t len = sizeof address;
    must(zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &one, sizeof one) == 0, "server");
    must(zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, keys->secret, KEY) == 0, "key");
    must(zmq_bind(socket, "tcp://127.0.0.1:*") == 0, "bind");
    must(zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, address, &len) == 0, "endpoint");
    must(write(fd, address, TEXT) == TEXT, "tell the address");
    for (uint64_t i = 0; i < count; i++) {
        int n = zmq_recv(socket, room, BIG, 0);
        must(n > 0, "receive");
        must(!asks || zmq_send(socket, room, (size_t)n, 0) == n, "reply");
    }
    must(write(fd, "e", 1) == 1, "tell the end");
    zmq_close(socket);
    zmq_ctx_term(context);
    exit(0);
}

int main(int argc, char **argv)
{
    const char *mode = argc == 3 ? argv[1] : "";
    uint64_t count = argc == 3 ? strtoull(argv[2], NULL, 10) : 0;
    int asks = !strcmp(mode, "ask64");
    size_t size = !strcmp(mode, "tell64k") ? BIG : SMALL;
    if (count == 0 || (!asks && strncmp(mode, "tell64", 6) != 0)) {
        fprintf(stderr, "usage: peer_zmq ask64|tell64|tell64k COUNT\n");
        return 2;
    }
    struct keys far, near;
    int pipes[2];
    must(zmq_curve_keypair(far.public, far.secret) == 0 &&
             zmq_curve_keypair(near.public, near.secret) == 0,
         "keys");
    must(pipe(pipes) == 0, "pipe");
    pid_t child = fork();
    if (child == 0) {
        serve(&far, asks, count, pipes[1]);
    }
    char address[TEXT], end, *message = calloc(1, BIG);
    must(read(pipes[0], address, TEXT) == TEXT, "hear the address");
    void *context = zmq_ctx_new(), *socket = zmq_socket(context, asks ? ZMQ_REQ : ZMQ_PUSH);
    must(zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, far.public, KEY) == 0, "server key");
    must(zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, near.public, KEY) == 0, "public key");
    must(zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, near.secret, KEY) == 0, "secret key");
    must(zmq_connect(socket, address) == 0, "connect");
    double *times = calloc(count, sizeof *times), begun = now_us();
    for (uint64_t i = 0; i < count; i++) {
        double from = now_us();
        must(zmq_send(socket, message, size, 0) == (int)size, "send");
        must(!asks || zmq_recv(socket, message, BIG, 0) == (int)size, "hear the reply");
        times[i] = now_us() - from;
    }
    must(read(pipes[0], &end, 1) == 1, "hear the end");
    double us = now_us() - begun;
    qsort(times, count, sizeof *times, compare);
    printf("%.4f\n", asks            ? times[count / 2]
                     : size == SMALL ? (double)count / us
                                     : (double)(count * size) / us);
    waitpid(child, NULL, 0);
    return 0;
}
