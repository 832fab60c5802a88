// The web server of the zero-loss proof: HTTP/1.1 with keep-alive, one thread a connection, no library but the C library.
//
//   server [PORT [LISTEN_AFTER_MS]]
//
// GET /N answers after N ms. On SIGTERM it takes no more connections, answers what comes on those it has with
// `Connection: close`, closes those that stay idle for idleAfterStopMs, and ends when none is left.
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
  requestMax = 4096,
  stackBytes = 128 * 1024,
  idleMs = 60000,
  idleAfterStopMs = 3000,
  tickMs = 50,
};

static atomic_int connections;
static atomic_bool isStopping;
/** Becomes readable when the stop signal came, and stays so. */
static int stopped[2];
static char host[64];

static void die(const char *what) {
  perror(what);
  exit(1);
}

static void pauseMs(long ms) { poll(NULL, 0, (int)ms); }

/** Waits for a byte; false when there will be none. After the stop signal the wait is short. */
static bool awaitRequest(int fd) {
  if (!isStopping) {
    struct pollfd both[2] = {{fd, POLLIN, 0}, {stopped[0], POLLIN, 0}};
    if (poll(both, 2, idleMs) <= 0) return false;
    if (both[0].revents != 0) return true;
  }
  struct pollfd one = {fd, POLLIN, 0};
  return poll(&one, 1, idleAfterStopMs) > 0;
}

/** One request without a body, as text; false at the end of the connection. Pipelining is not known here. */
static bool readRequest(int fd, char *text) {
  size_t length = 0;
  while (length < requestMax - 1) {
    ssize_t got = recv(fd, text + length, requestMax - 1 - length, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    length += (size_t)got;
    text[length] = 0;
    if (strstr(text, "\r\n\r\n") != NULL) return true;
  }
  return false;
}

static bool answer(int fd, const char *request, bool isLast) {
  char body[128], text[512];
  int size = snprintf(body, sizeof body, "%s\n", host);
  bool isKnown = strncmp(request, "GET /", 5) == 0;
  int length = snprintf(text, sizeof text, "HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: %s\r\n\r\n%s",
                        isKnown ? "200 OK" : "400 Bad Request", size, isLast ? "close" : "keep-alive", body);
  for (int sent = 0; sent < length;) {
    ssize_t part = send(fd, text + sent, (size_t)(length - sent), MSG_NOSIGNAL);
    if (part < 0 && errno == EINTR) continue;
    if (part <= 0) return false;
    sent += (int)part;
  }
  return true;
}

static void *serve(void *argument) {
  int fd = (int)(long)argument, on = 1;
  char request[requestMax];
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  while (awaitRequest(fd) && readRequest(fd, request)) {
    if (strncmp(request, "GET /", 5) == 0) pauseMs(strtol(request + 5, NULL, 10));
    // Read after the pause: who was waited for is told of the stop.
    bool isLast = isStopping || strcasestr(request, "\r\nConnection: close") != NULL;
    if (!answer(fd, request, isLast) || isLast) break;
  }
  close(fd);
  connections--;
  return NULL;
}

static void begin(int fd, const pthread_attr_t *small) {
  pthread_t thread;
  connections++;
  if (pthread_create(&thread, small, serve, (void *)(long)fd) == 0) return;
  perror("pthread_create");
  connections--;
  close(fd);
}

static int listenOn(int port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
  struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
  if (fd < 0) die("socket");
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd, (struct sockaddr *)&any, sizeof any) != 0 || listen(fd, 1024) != 0) die("listen");
  return fd;
}

int main(int argc, char **argv) {
  sigset_t stop;
  pthread_attr_t small;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTERM);
  sigaddset(&stop, SIGINT);
  pthread_sigmask(SIG_BLOCK, &stop, NULL);
  int signals = signalfd(-1, &stop, 0);
  if (signals < 0 || pipe(stopped) != 0) die("start");
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, stackBytes);
  pthread_attr_setdetachstate(&small, PTHREAD_CREATE_DETACHED);
  gethostname(host, sizeof host - 1);
  if (argc > 2) pauseMs(atol(argv[2]));
  int listener = listenOn(argc > 1 ? atoi(argv[1]) : 80);
  struct pollfd both[2] = {{listener, POLLIN, 0}, {signals, POLLIN, 0}};
  do {
    poll(both, 2, -1);
    // All that the kernel has accepted already, also when the signal is there.
    for (int fd; (fd = accept(listener, NULL, NULL)) >= 0;) begin(fd, &small);
  } while (both[1].revents == 0);
  // From here on who connects is refused: nobody should be led here any more.
  close(listener);
  isStopping = true;
  if (write(stopped[1], "", 1) != 1) die("write");
  while (connections > 0) pauseMs(tickMs);
  return 0;
}
