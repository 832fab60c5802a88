// TCP connections of the network benchmark, one after the other, so that what a connection costs the kernel is not hidden
// behind what it costs a runtime.
//   serve PORT                 takes each connection, answers its byte with one and closes
//   load COUNT PORT ADDRESS…   makes COUNT connections, to the addresses in turn; prints the seconds they took
//   until PORT ADDRESS MS      tries until one is answered; prints when, in ms of the wall clock
#include <arpa/inet.h>
#include <poll.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static double now(clockid_t clock) {
  struct timespec at;
  clock_gettime(clock, &at);
  return at.tv_sec + at.tv_nsec / 1e9;
}

static struct sockaddr_in address_of(const char *text, const char *port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
  if (text != NULL && inet_pton(AF_INET, text, &address.sin_addr) != 1) {
    fprintf(stderr, "%s is no address\n", text);
    exit(2);
  }
  return address;
}

static int serve(const char *port) {
  int one = 1;
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in own = address_of(NULL, port);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(listener, (struct sockaddr *)&own, sizeof own) != 0 || listen(listener, 512) != 0) {
    perror("listen");
    return 1;
  }
  for (;;) {
    char byte;
    int connection = accept(listener, NULL, NULL);
    if (connection < 0) continue;
    if (read(connection, &byte, 1) == 1 && write(connection, &byte, 1) != 1) perror("write");
    close(connection);
  }
}

// Whether a connection was made within the time and answered.
static int exchange(const struct sockaddr_in *to, int timeout_ms) {
  char byte = 'x';
  int isDone = 0;
  int connection = socket(AF_INET, SOCK_STREAM | (timeout_ms > 0 ? SOCK_NONBLOCK : 0), 0);
  int code = connect(connection, (const struct sockaddr *)to, sizeof *to);
  if (code != 0 && errno == EINPROGRESS) {
    struct pollfd wait = {.fd = connection, .events = POLLOUT};
    socklen_t length = sizeof code;
    if (poll(&wait, 1, timeout_ms) == 1) getsockopt(connection, SOL_SOCKET, SO_ERROR, &code, &length);
  }
  if (code == 0 && timeout_ms > 0) isDone = 1;
  else if (code == 0 && write(connection, &byte, 1) == 1 && read(connection, &byte, 1) == 1) {
    // The server closes first: no port of the client is held.
    isDone = read(connection, &byte, 1) == 0;
  }
  close(connection);
  return isDone;
}

static int load(int count, const char *port, int targets, char **texts) {
  struct sockaddr_in to[64];
  for (int at = 0; at < targets && at < 64; at++) to[at] = address_of(texts[at], port);
  double began = now(CLOCK_MONOTONIC);
  for (int made = 0; made < count; made++) {
    if (!exchange(&to[made % targets], 0)) {
      fprintf(stderr, "connection %d of %d failed: %s\n", made + 1, count, strerror(errno));
      return 1;
    }
  }
  printf("%.6f\n", now(CLOCK_MONOTONIC) - began);
  return 0;
}

static int until(const char *port, const char *text, int timeout_ms) {
  struct sockaddr_in to = address_of(text, port);
  struct timespec pause = {.tv_nsec = 1000000};
  double ends = now(CLOCK_MONOTONIC) + timeout_ms / 1e3;
  while (now(CLOCK_MONOTONIC) < ends) {
    if (exchange(&to, 20)) {
      printf("%.1f\n", now(CLOCK_REALTIME) * 1e3);
      return 0;
    }
    nanosleep(&pause, NULL);
  }
  fprintf(stderr, "%s did not answer within %d ms\n", text, timeout_ms);
  return 1;
}

int main(int argc, char **argv) {
  if (argc == 3 && strcmp(argv[1], "serve") == 0) return serve(argv[2]);
  if (argc > 4 && argc < 69 && strcmp(argv[1], "load") == 0)
    return load(atoi(argv[2]), argv[3], argc - 4, argv + 4);
  if (argc == 5 && strcmp(argv[1], "until") == 0) return until(argv[2], argv[3], atoi(argv[4]));
  fprintf(stderr, "connections: see the top of its source\n");
  return 2;
}
