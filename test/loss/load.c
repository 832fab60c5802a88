// The clients of the zero-loss proof, in one thread, with as little CPU as they need: who is late cannot tell a late server from itself.
//
//   load ADDRESS PORT FRESH_PER_SECOND FAST_MS SLOW_PER_SECOND SLOW_MS KEPT WAIT_MS
//
// Fresh connections carry one request that is answered after FAST_MS, slow ones one after SLOW_MS, kept ones are used again and again.
// Prints what came of them as a line of JSON again and again, and a last one when standard input has ended and all was answered.
// A request that waits WAIT_MS longer than the server was told to take has failed. generator.ts has the meaning of each field.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum {
  openMax = 4000,
  keptMax = 1000,
  failuresMax = 5000,
  causesMax = 64,
  serversMax = 1000,
  answerMax = 1024,
  tickMs = 5,
  sweepMs = 100,
  reportMs = 200,
  /** For the server to close a connection that it wants closed: who closes first keeps the port, and there are 28,000. */
  closeMs = 2000,
  busyPauseMs = 250,
  /** One of five kept connections is idle for longer than a server waits that stops. */
  idlePauseMs = 4000,
};

enum kind { fresh, slow, kept, kinds };
static const char *const kindNames[kinds] = {"fresh", "slow", "kept"};

enum state { connecting, asked, idle, closing };

struct connection {
  enum kind kind;
  enum state state;
  int fd, keeper, got;
  /** It has answered before. */
  bool isUsed;
  /** Of the request: on the wall clock, on the monotonic one, and when it has failed. */
  double atWallMs, atMs, dueMs;
  char text[answerMax];
  struct connection *previous, *next;
};

struct keeper {
  struct connection *connection;
  double nextMs, pauseMs;
  bool isAsking;
};

struct count {
  char cause[80];
  long n;
};

struct failure {
  enum kind kind;
  double startedMs, endedMs;
  char cause[64];
};

static struct sockaddr_in target;
static double perSecond[2];
static int delayMs[2], keepers, waitMs;
static struct keeper keeperOf[keptMax];
static struct connection *all;
static int openCount, poller;
static long sent[kinds], answered[kinds], askedToClose, closedIdle;
static struct count failed[causesMax], retried[causesMax];
static struct failure failures[failuresMax];
static int failureCount, serverCount;
static char servers[serversMax][64];
static double slowestMs;
static bool isEnding;

static double clockMs(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static double nowMs(void) { return clockMs(CLOCK_MONOTONIC); }

static void die(const char *what) {
  perror(what);
  exit(1);
}

static void count(struct count *counts, const char *key) {
  for (int i = 0; i < causesMax; i++) {
    if (counts[i].n > 0 && strcmp(counts[i].cause, key) != 0) continue;
    snprintf(counts[i].cause, sizeof counts[i].cause, "%s", key);
    counts[i].n++;
    return;
  }
}

static void printCounts(const char *name, const struct count *counts) {
  printf(",\"%s\":{", name);
  for (int i = 0; i < causesMax && counts[i].n > 0; i++) {
    printf("%s\"%s\":%ld", i == 0 ? "" : ",", counts[i].cause, counts[i].n);
  }
  printf("}");
}

static void printKinds(const char *name, const long *counts) {
  printf("\"%s\":{\"fresh\":%ld,\"slow\":%ld,\"kept\":%ld},", name, counts[fresh], counts[slow], counts[kept]);
}

static double cpuMs(void) {
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  double seconds = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec);
  return seconds * 1e3 + (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e3;
}

static void report(bool isOver) {
  printf("{");
  printKinds("sent", sent);
  printKinds("answered", answered);
  printf("\"closes\":{\"asked\":%ld,\"idle\":%ld}", askedToClose, closedIdle);
  printCounts("failed", failed);
  printCounts("retried", retried);
  printf(",\"slowestMs\":%.1f,\"servers\":%d,\"cpuMs\":%.1f,\"failures\":[", slowestMs, serverCount, cpuMs());
  for (int i = 0; isOver && i < failureCount; i++) {
    const struct failure *one = &failures[i];
    printf("%s{\"kind\":\"%s\",\"startedAtMs\":%.1f,\"endedAtMs\":%.1f,\"cause\":\"%s\"}", i == 0 ? "" : ",",
           kindNames[one->kind], one->startedMs, one->endedMs, one->cause);
  }
  printf("],\"isOver\":%s}\n", isOver ? "true" : "false");
  if (fflush(stdout) != 0) exit(1);
}

static void noteServer(const char *name) {
  for (int i = 0; i < serverCount; i++) {
    if (strcmp(servers[i], name) == 0) return;
  }
  if (serverCount < serversMax) snprintf(servers[serverCount++], sizeof servers[0], "%s", name);
}

static void drop(struct connection *one) {
  if (one->kind == kept && keeperOf[one->keeper].connection == one) keeperOf[one->keeper].connection = NULL;
  if (one->previous != NULL) one->previous->next = one->next;
  else all = one->next;
  if (one->next != NULL) one->next->previous = one->previous;
  close(one->fd);
  openCount--;
  free(one);
}

static void await(struct connection *one, unsigned events, int change) {
  struct epoll_event event = {.events = events, .data.ptr = one};
  if (epoll_ctl(poller, change, one->fd, &event) != 0) die("epoll_ctl");
}

static void fail(struct connection *one, const char *why);

/** Begins to connect; the request follows. */
static struct connection *begin(enum kind kind, int keeper, double atWallMs) {
  struct connection *one = calloc(1, sizeof *one);
  int on = 1;
  if (one == NULL) die("calloc");
  one->kind = kind;
  one->keeper = keeper;
  one->atWallMs = atWallMs;
  one->atMs = nowMs();
  one->dueMs = one->atMs + delayMs[kind == slow] + waitMs;
  one->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (one->fd < 0) die("socket");
  setsockopt(one->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  one->next = all;
  if (all != NULL) all->previous = one;
  all = one;
  openCount++;
  if (kind == kept) keeperOf[keeper].connection = one;
  await(one, EPOLLOUT, EPOLL_CTL_ADD);
  if (connect(one->fd, (struct sockaddr *)&target, sizeof target) == 0 || errno == EINPROGRESS) return one;
  fail(one, strerrorname_np(errno));
  return NULL;
}

static void ask(struct connection *one) {
  char text[256];
  int length = snprintf(text, sizeof text, "GET /%d HTTP/1.1\r\nHost: test\r\n%s\r\n", delayMs[one->kind == slow],
                        one->kind == kept ? "" : "Connection: close\r\n");
  one->got = 0;
  one->state = asked;
  if (send(one->fd, text, (size_t)length, MSG_NOSIGNAL) != length) fail(one, strerrorname_np(errno));
}

static void settle(const struct connection *one) {
  if (one->kind != kept) return;
  keeperOf[one->keeper].isAsking = false;
  keeperOf[one->keeper].nextMs = nowMs() + keeperOf[one->keeper].pauseMs;
}

/** The server had closed the connection before it read the request, as any server may. Silence is something else. */
static bool isRetried(const struct connection *one, const char *why) {
  if (!one->isUsed || one->got > 0) return false;
  return strcmp(why, "ECONNRESET") == 0 || strcmp(why, "EPIPE") == 0 || strcmp(why, "closed") == 0;
}

static void fail(struct connection *one, const char *why) {
  char cause[64], key[80];
  enum kind kind = one->kind;
  if (isRetried(one, why)) {
    int keeper = one->keeper;
    double atWallMs = one->atWallMs;
    count(retried, why);
    drop(one);
    begin(kind, keeper, atWallMs);
    return;
  }
  snprintf(cause, sizeof cause, "%s%s", one->state == connecting ? "connecting: " : "", why);
  snprintf(key, sizeof key, "%s: %s", kindNames[kind], cause);
  count(failed, key);
  if (failureCount < failuresMax) {
    struct failure *record = &failures[failureCount++];
    *record = (struct failure){.kind = kind, .startedMs = one->atWallMs, .endedMs = clockMs(CLOCK_REALTIME)};
    snprintf(record->cause, sizeof record->cause, "%s", cause);
  }
  settle(one);
  drop(one);
}

/** What is wrong with what came so far; "" for nothing, NULL while it is not whole. */
static const char *judge(const char *text, bool *isLast, char *name, size_t nameMax) {
  const char *head = strstr(text, "\r\n\r\n"), *length = strcasestr(text, "\r\ncontent-length: ");
  if (head == NULL) return strlen(text) < answerMax - 1 ? NULL : "a head without an end";
  if (strncmp(text, "HTTP/1.1 200 ", 13) != 0) return "another status";
  if (length == NULL || length > head) return "an answer without its length";
  size_t due = strtoul(length + 18, NULL, 10), got = strlen(head + 4);
  const char *close = strcasestr(text, "\r\nconnection: close");
  *isLast = close != NULL && close < head;
  snprintf(name, nameMax, "%.*s", (int)strcspn(head + 4, "\n"), head + 4);
  return got < due ? NULL : got > due ? "more than the answer" : "";
}

static void take(struct connection *one) {
  bool isLast = false;
  char name[64];
  const char *wrong = judge(one->text, &isLast, name, sizeof name);
  if (wrong == NULL) return;
  if (*wrong != 0) return fail(one, wrong);
  answered[one->kind]++;
  noteServer(name);
  settle(one);
  double tookMs = nowMs() - one->atMs;
  if (one->kind == fresh && tookMs > slowestMs) slowestMs = tookMs;
  one->isUsed = true;
  one->state = isLast ? closing : idle;
  if (isLast) one->dueMs = nowMs() + closeMs;
  if (isLast && one->kind == kept) {
    askedToClose++;
    keeperOf[one->keeper].connection = NULL;
  }
  if (!isLast && one->kind != kept) drop(one);
}

static void end(struct connection *one, const char *why) {
  if (one->state == connecting || one->state == asked) return fail(one, why);
  if (one->state == idle) closedIdle++;
  drop(one);
}

static void hear(struct connection *one) {
  if (one->state == connecting) {
    int err = 0;
    socklen_t size = sizeof err;
    getsockopt(one->fd, SOL_SOCKET, SO_ERROR, &err, &size);
    if (err != 0) return fail(one, strerrorname_np(err));
    await(one, EPOLLIN, EPOLL_CTL_MOD);
    return ask(one);
  }
  ssize_t got = recv(one->fd, one->text + one->got, (size_t)(answerMax - 1 - one->got), 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got < 0) return end(one, strerrorname_np(errno));
  if (got == 0) return end(one, "closed");
  if (one->state != asked) return drop(one);
  one->got += (int)got;
  one->text[one->got] = 0;
  take(one);
}

static void sweep(double atMs) {
  for (struct connection *one = all, *next; one != NULL; one = next) {
    next = one->next;
    if (one->state == idle || one->dueMs > atMs) continue;
    if (one->state == closing) drop(one);
    else fail(one, "no answer in time");
  }
}

/** Steady rates of new connections; what a machine cannot bear is left out, so that it comes to an end. */
static void beginDue(double sinceMs) {
  static double begun[2];
  for (int kind = fresh; kind <= slow; kind++) {
    for (; begun[kind] < sinceMs * perSecond[kind] / 1e3; begun[kind]++) {
      if (openCount >= openMax) continue;
      sent[kind]++;
      begin(kind, -1, clockMs(CLOCK_REALTIME));
    }
  }
}

static void useKept(double atMs) {
  for (int i = 0; i < keepers; i++) {
    struct keeper *keeper = &keeperOf[i];
    if (keeper->isAsking || atMs < keeper->nextMs) continue;
    double atWallMs = clockMs(CLOCK_REALTIME);
    keeper->isAsking = true;
    sent[kept]++;
    if (keeper->connection == NULL) {
      begin(kept, i, atWallMs);
      continue;
    }
    keeper->connection->atWallMs = atWallMs;
    keeper->connection->atMs = atMs;
    keeper->connection->dueMs = atMs + delayMs[0] + waitMs;
    ask(keeper->connection);
  }
}

static bool isAnyAsked(void) {
  for (struct connection *one = all; one != NULL; one = one->next) {
    if (one->state == connecting || one->state == asked) return true;
  }
  return false;
}

static void run(void) {
  double startMs = nowMs(), sweptMs = startMs, reportedMs = 0;
  struct epoll_event events[256], input = {.events = EPOLLIN, .data.ptr = NULL};
  if ((poller = epoll_create1(EPOLL_CLOEXEC)) < 0 || epoll_ctl(poller, EPOLL_CTL_ADD, 0, &input) != 0) die("epoll");
  while (!isEnding || isAnyAsked()) {
    int n = epoll_wait(poller, events, 256, tickMs);
    for (int i = 0; i < n; i++) {
      char rest[64];
      if (events[i].data.ptr != NULL) hear(events[i].data.ptr);
      else if (read(0, rest, sizeof rest) <= 0) {
        isEnding = true;
        epoll_ctl(poller, EPOLL_CTL_DEL, 0, NULL);
      }
    }
    double atMs = nowMs();
    if (!isEnding) {
      beginDue(atMs - startMs);
      useKept(atMs);
    }
    if (atMs - sweptMs >= sweepMs) sweep(sweptMs = atMs);
    if (atMs - reportedMs >= reportMs) {
      reportedMs = atMs;
      report(false);
    }
  }
  report(true);
}

int main(int argc, char **argv) {
  target.sin_family = AF_INET;
  if (argc != 9 || inet_pton(AF_INET, argv[1], &target.sin_addr) != 1) {
    fprintf(stderr, "usage: load ADDRESS PORT FRESH_PER_SECOND FAST_MS SLOW_PER_SECOND SLOW_MS KEPT WAIT_MS\n");
    return 2;
  }
  target.sin_port = htons((unsigned short)atoi(argv[2]));
  perSecond[fresh] = atof(argv[3]);
  delayMs[fresh] = atoi(argv[4]);
  perSecond[slow] = atof(argv[5]);
  delayMs[slow] = atoi(argv[6]);
  keepers = atoi(argv[7]) < keptMax ? atoi(argv[7]) : keptMax;
  waitMs = atoi(argv[8]);
  for (int i = 0; i < keepers; i++) {
    // Not all at the same moment.
    keeperOf[i].nextMs = nowMs() + (double)busyPauseMs * i / keepers;
    keeperOf[i].pauseMs = i % 5 == 4 ? idlePauseMs : busyPauseMs;
  }
  run();
  return 0;
}
