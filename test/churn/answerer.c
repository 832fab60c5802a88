/* The program of each container of the churn proof: waits on port 7, UDP and TCP, and answers each payload with the task that it is.
 * A payload names the task or service it is for: "SENT NETWORK ADDRESS task|service ID". One for another is also written down, so that
 * it is known although its answer may never arrive. */
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static const char *task, *service;

static void stop(int number) {
  (void)number;
  _exit(0);
}

static void note(const char *payload) {
  char path[256], kind[16] = "", id[64] = "";
  struct timeval now;
  if (sscanf(payload, "%*s %*s %*s %15s %63s", kind, id) != 2) return;
  if (strcmp(id, strcmp(kind, "task") == 0 ? task : service) == 0) return;
  snprintf(path, sizeof path, "/strays/%s", task);
  FILE *file = fopen(path, "a");
  if (file == NULL) return;
  gettimeofday(&now, NULL);
  fprintf(file, "%lld %s %s\n", now.tv_sec * 1000LL + now.tv_usec / 1000, task, payload);
  fclose(file);
}

/* Of the answer in `answer`, made from the payload of that length; the payload ends with its line. */
static int take(char *payload, ssize_t length, char *answer, size_t size) {
  payload[length] = 0;
  payload[strcspn(payload, "\n")] = 0;
  note(payload);
  return snprintf(answer, size, "%s %s\n", task, payload);
}

static void serve_udp(int socket) {
  char payload[512], answer[640];
  struct sockaddr_in from;
  socklen_t size = sizeof from;
  ssize_t length = recvfrom(socket, payload, sizeof payload - 1, 0, (struct sockaddr *)&from, &size);
  if (length < 0) return;
  int count = take(payload, length, answer, sizeof answer);
  sendto(socket, answer, count, 0, (struct sockaddr *)&from, size);
}

static void serve_tcp(int listener) {
  char payload[512], answer[640];
  struct timeval patience = {.tv_sec = 0, .tv_usec = 300000};
  int client = accept(listener, NULL, NULL);
  if (client < 0) return;
  setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  ssize_t length = read(client, payload, sizeof payload - 1);
  if (length > 0) {
    int count = take(payload, length, answer, sizeof answer);
    send(client, answer, count, MSG_NOSIGNAL);
  }
  close(client);
}

int main(void) {
  struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(7)};
  int yes = 1;
  task = getenv("TASK");
  service = getenv("SERVICE");
  if (task == NULL || service == NULL) return 2;
  signal(SIGTERM, stop);
  struct pollfd both[2] = {
      {.fd = socket(AF_INET, SOCK_DGRAM, 0), .events = POLLIN},
      {.fd = socket(AF_INET, SOCK_STREAM, 0), .events = POLLIN},
  };
  setsockopt(both[1].fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  for (int i = 0; i < 2; i++)
    if (bind(both[i].fd, (struct sockaddr *)&any, sizeof any) != 0) return 3;
  if (listen(both[1].fd, 128) != 0) return 3;
  for (;;) {
    if (poll(both, 2, -1) < 0) continue;
    if (both[0].revents) serve_udp(both[0].fd);
    if (both[1].revents) serve_tcp(both[1].fd);
  }
}
