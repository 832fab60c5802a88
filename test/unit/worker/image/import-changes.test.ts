// What `image import --change` makes of an image. Source: docker's reference of image import, and of the Dockerfile's instructions.
import t from 'tap'
import { changedConfig } from '../../../../worker/image/import-changes.ts'

t.test('instructions become the configuration', async (t) => {
  const config = changedConfig([
    'CMD ["nginx", "-g", "daemon off;"]',
    'entrypoint /run.sh --fast "two words"',
    'ENV A=1 B="two words" C=three\\ words',
    'ENV OLD the rest of the line',
    'ENV A=2',
    'EXPOSE 80 443/TCP 53/udp',
    `LABEL 'a key'='it"s' plain=`,
    'USER app:app',
    'VOLUME ["/data", "/more data"]',
    'VOLUME /third /fourth',
    'STOPSIGNAL SIGQUIT',
    'WORKDIR /srv',
    'WORKDIR app',
  ])
  t.same(config, {
    Cmd: ['nginx', '-g', 'daemon off;'],
    Entrypoint: ['/bin/sh', '-c', '/run.sh --fast "two words"'],
    Env: ['B=two words', 'C=three words', 'OLD=the rest of the line', 'A=2'],
    ExposedPorts: { '80/tcp': {}, '443/tcp': {}, '53/udp': {} },
    Labels: { 'a key': 'it"s', plain: '' },
    User: 'app:app',
    Volumes: { '/data': {}, '/more data': {}, '/third': {}, '/fourth': {} },
    StopSignal: 'SIGQUIT',
    WorkingDir: '/srv/app',
  })
  t.same(changedConfig([]), {})
  t.same(changedConfig(['CMD [not json]']).Cmd, ['/bin/sh', '-c', '[not json]'])
  t.same(changedConfig(['CMD [1]']).Cmd, ['/bin/sh', '-c', '[1]'])
})

t.test('what is no change is refused by name', async (t) => {
  for (const [line, message] of [
    ['', /change "" is not valid: it is empty: use CMD, ENTRYPOINT/],
    ['RUN make', /change "RUN make" is not valid: RUN is no change/],
    ['constructor x', /CONSTRUCTOR is no change/],
    ['CMD', /CMD requires at least one argument/],
    ['ENV NAME', /NAME must be NAME=VALUE/],
    ['ENV A=1 =2', /=2 must be NAME=VALUE/],
    ['LABEL a="open', /a " is not closed/],
    ['EXPOSE 0', /0 must be PORT/],
    ['EXPOSE 70000', /70000 must be PORT/],
    ['EXPOSE 80/icmp', /80\/icmp must be PORT/],
    ['USER a b', /exactly one argument/],
    ['WORKDIR ""', /exactly one argument/],
  ] as const) {
    t.throws(() => changedConfig([line]), { code: 'INVALID_ARGUMENT', message })
  }
})
