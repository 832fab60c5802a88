// Keys of compose services that become the mode, the schedule and the name servers of a service; and that what is wrong with them is told
// with file, line and column. Source: swarm-semantics 3.1 (modes) and 4 (honoured keys); x-schedule and x-dns-opt are beyond Swarm.
import t, { test } from 'tap'
import { loadCompose } from '../../../../cli/stack/load-compose.ts'
import { stackSpec } from '../../../../cli/stack/stack-spec.ts'
import { hasCode } from '../../../../proto/errors.ts'
import type { ServiceSpec } from '../../../../proto/spec/service-spec.ts'

/** The spec of service `a` of a file whose lines stand below it. */
function specOf(...lines: readonly string[]): ServiceSpec {
  const text = `services:\n  a:\n    image: i\n${lines.map((line) => `    ${line}\n`).join('')}`
  const project = loadCompose([{ name: 'f.yml', text }], {
    variables: new Map(),
    workingDir: '/',
    interpolates: true,
    readText: () => '',
  })
  const [service] = stackSpec('s', project).services
  if (service === undefined) throw new Error('no service')
  return service.spec
}

/** What is wrong with such a file, a line a fault; empty: nothing. */
function faultsOf(...lines: readonly string[]): string {
  try {
    specOf(...lines)
    return ''
  } catch (err) {
    if (!hasCode(err, 'INVALID_ARGUMENT')) throw err
    return err.message
  }
}

const usualCron = {
  kind: 'cron',
  schedule: '30 2 * * *',
  timeZone: 'UTC',
  missedWindowMs: 3_600_000,
  concurrency: 'forbid',
  completions: 1,
  maxConcurrent: 1,
  keepCompleted: 3,
  keepFailed: 1,
  retries: 6,
  backoffMaxMs: 300_000,
}

test('deploy.mode and deploy.replicas are the mode (swarm-semantics 4, deploy.*)', async (t) => {
  const cases: readonly (readonly [string, unknown])[] = [
    ['labels: {x: y}', { kind: 'replicated', replicas: 1 }],
    ['deploy: {replicas: 0}', { kind: 'replicated', replicas: 0 }],
    ['deploy: {mode: replicated, replicas: 3}', { kind: 'replicated', replicas: 3 }],
    ['deploy: {mode: global}', { kind: 'global' }],
    ['deploy: {mode: global-job}', { kind: 'global-job' }],
    [
      'deploy: {mode: replicated-job}',
      { kind: 'replicated-job', completions: 1, maxConcurrent: 1 },
    ],
    [
      'deploy: {mode: replicated-job, replicas: 4}',
      { kind: 'replicated-job', completions: 4, maxConcurrent: 4 },
    ],
    [
      'deploy: {mode: replicated-job, replicas: 0}',
      { kind: 'replicated-job', completions: 0, maxConcurrent: 1 },
    ],
  ]
  for (const [line, mode] of cases) t.strictSame(specOf(line).mode, mode, line)
})

test('each key of x-schedule is a field of a cron service', async (t) => {
  const cases: readonly (readonly [string, object])[] = [
    ['', {}],
    [', time_zone: Europe/Berlin', { timeZone: 'Europe/Berlin' }],
    [', missed_window: 1m30s', { missedWindowMs: 90_000 }],
    [', missed_window: 0s', { missedWindowMs: 0 }],
    [', concurrency: allow', { concurrency: 'allow' }],
    [', concurrency: replace', { concurrency: 'replace' }],
    [', max_concurrent: 2', { maxConcurrent: 2 }],
    [', keep_completed: 0', { keepCompleted: 0 }],
    [', keep_failed: 5', { keepFailed: 5 }],
    [', retries: 0', { retries: 0 }],
    [', backoff_max: 1h', { backoffMaxMs: 3_600_000 }],
  ]
  for (const [more, fields] of cases) {
    const { mode } = specOf(`x-schedule: {cron: "30 2 * * *"${more}}`)
    t.strictSame(mode, { ...usualCron, ...fields }, more)
  }
  for (const kind of ['cron', 'replicated-job']) {
    const lines = ['x-schedule: {cron: "30 2 * * *"}', `deploy: {mode: ${kind}, replicas: 3}`]
    t.strictSame(specOf(...lines).mode, { ...usualCron, completions: 3, maxConcurrent: 3 }, kind)
  }
  const words = specOf('x-schedule: {cron: "@daily"}').mode
  t.match(words, { kind: 'cron', schedule: '@daily' })
})

test('what is wrong with a mode or a schedule is told with its place', async (t) => {
  const schedule = (more: string): string => `x-schedule: {cron: "30 2 * * *", ${more}}`
  const cases: readonly (readonly [readonly string[], string | RegExp])[] = [
    [['x-schedule: "30 2 * * *"'], /^f\.yml:4:17: services\.a\.x-schedule: must be a mapping/],
    [['x-schedule: '], /services\.a\.x-schedule: must be a mapping/],
    [['x-schedule: {}'], /^f\.yml:4:17: services\.a\.x-schedule\.cron: is required/],
    [['x-schedule: {cron: 5}'], /^f\.yml:4:24: .*\.cron: must be a string, not a number$/],
    [['x-schedule: {cron: soon}'], /\.cron: is no schedule of five fields/],
    [['x-schedule: {cron: "99 2 * * *"}'], /\.cron: is no schedule \(/],
    [[schedule('time_zone: Mars')], /^f\.yml:4:49: .*\.time_zone: is no time zone/],
    [[schedule('time_zone: 1')], /\.time_zone: must be a string, not a number/],
    [[schedule('missed_window: soon')], /\.missed_window: must be a duration such as 1h30m/],
    [[schedule('missed_window: 5')], /\.missed_window: must be a duration such as 1h30m, not a/],
    [[schedule('missed_window: -5s')], /\.missed_window: must be at least 0/],
    [[schedule('backoff_max: many')], /\.backoff_max: must be a duration/],
    [[schedule('concurrency: queue')], /\.concurrency: must be "allow" or "forbid" or "replace"/],
    [[schedule('max_concurrent: 0')], /\.max_concurrent: must be at least 1/],
    [[schedule('keep_completed: "3"')], /\.keep_completed: must be a whole number, not a string/],
    [[schedule('keep_failed: 1.5')], /\.keep_failed: must be a whole number, not a number/],
    [[schedule('retries: -1')], /\.retries: must be at least 0/],
    [[schedule('retries: 1001')], /\.retries: must be at most 1000/],
    [
      [schedule('tries: 3')],
      /^f\.yml:4:\d+: .*\.x-schedule\.tries: is not known here: there are cron,/,
    ],
    [
      ['x-schedule: {cron: "30 2 * * *"}', 'deploy: {mode: global}'],
      /^f\.yml:5:\d+: services\.a\.deploy\.mode: global does not go with x-schedule/,
    ],
    [
      ['x-schedule: {cron: "30 2 * * *"}', 'deploy: {mode: replicated}'],
      /deploy\.mode: replicated does not go with x-schedule/,
    ],
    [
      ['x-schedule: {cron: "30 2 * * *"}', 'deploy: {replicas: 100001}'],
      /deploy\.replicas: must be at most 100000/,
    ],
    [['deploy: {mode: cron}'], /^f\.yml:4:20: services\.a\.deploy\.mode: cron needs a schedule/],
    [['deploy: {mode: some}'], /deploy\.mode: must be one of replicated, global, .*not "some"/],
    [['deploy: {mode: global, replicas: 2}'], /deploy\.replicas: goes with mode replicated and/],
    [['deploy: {replicas: 100001}'], /^f\.yml:4:24: .*deploy\.replicas: must be at most 100000$/],
    [
      ['deploy: {mode: replicated-job, replicas: 100001}'],
      /deploy\.replicas: must be at most 100000/,
    ],
  ]
  for (const [lines, message] of cases) t.match(faultsOf(...lines), message, lines.join(' '))
})

t.test('x-publish says of ports what the format has no words for', async (t) => {
  const { ports } = specOf(
    'ports: ["8080:80"]',
    'x-publish: ["published=81,target=81,mode=host,host_ip=[::1],source=fd00::/8", "90:90/udp"]',
  ).task
  t.match(ports, [
    { publishedPort: 8080, mode: 'ingress', bindAddress: '' },
    { publishedPort: 81, mode: 'host', bindAddress: '::1', sources: ['fd00::/8'] },
    { publishedPort: 90, protocol: 'udp', mode: 'ingress' },
  ])
  t.match(specOf('x-publish: 53/udp').task.ports, [{ targetPort: 53, protocol: 'udp' }])
  t.match(
    faultsOf('x-publish: ["127.0.0.1:80:80"]'),
    /^f\.yml:4:16: services\.a\.x-publish: "127\.0\.0\.1:80:80": must be .*long form/,
  )
  t.match(faultsOf('x-publish: [80]'), /x-publish: must be a string or a list of strings/)
})

t.test(
  'dns, dns_search, x-dns-opt and oom_score_adj (swarm-semantics 4, honoured keys)',
  async (t) => {
    const search = specOf('dns_search: [a.example, b.example]', 'x-dns-opt: [ndots:2]').task.dns
    t.strictSame(search, {
      nameservers: [],
      search: ['a.example', 'b.example'],
      options: ['ndots:2'],
    })
    t.strictSame(specOf('dns_search: a', 'x-dns-opt: "timeout:1"').task.dns.options, ['timeout:1'])
    t.equal(specOf('oom_score_adj: -500').task.oomScoreAdj, -500)
    const host = 'networks: [host]\nnetworks: {host: {external: true, name: host}}'
    t.strictSame(specOf('dns: [1.1.1.1, "::1"]', host).task.dns.nameservers, ['1.1.1.1', '::1'])
    t.strictSame(specOf('dns: 1.1.1.1').task.dns.nameservers, ['1.1.1.1'])
    t.match(faultsOf('dns: here', host), /^f\.yml:4:10: services\.a\.dns: .*must be an IP address/)
    t.match(
      faultsOf('dns_search: ["a b"]'),
      /^f\.yml:4:17: services\.a\.dns_search: .*must be one word/,
    )
    t.match(faultsOf('x-dns-opt: [1]'), /^f\.yml:4:16: .*x-dns-opt: must be a string or a list/)
    t.match(
      faultsOf('oom_score_adj: 2000'),
      /^f\.yml:4:20: services\.a\.oom_score_adj: .*must be at most 1000/,
    )
    t.match(faultsOf('dns_opt: [x]'), /dns_opt: is no key that the format 3\.13 knows here/)
  },
)

t.test('what cannot be says why', async (t) => {
  const networks = 'networks: {n: {driver_opts: {a: b}}}\nnetworks: {n: }'
  t.match(faultsOf(networks), /networks\.n\.driver_opts: has the driver option "a", which no n/)
})

t.test('options of a network and of a mount (swarm-semantics 4, honoured keys)', async (t) => {
  const option = 'com.docker.network.endpoint.sysctls'
  const value = 'net.ipv4.conf.IFNAME.log_martians=1'
  const networks = `networks: {n: {driver_opts: {${option}: ${value}}}}\nnetworks: {n: }`
  t.match(specOf(networks).task.networks, [{ driverOptions: { [option]: value } }])
  const mount = (word: string): string =>
    `volumes: [{type: bind, source: /a, target: /b, consistency: ${word}}]`
  t.match(specOf(mount('delegated')).task.container.mounts, [{ consistency: 'delegated' }])
  t.match(faultsOf(mount('soon')), /consistency: must be one of .*not "soon"/)
})
