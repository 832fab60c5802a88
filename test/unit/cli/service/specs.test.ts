// From flags to specs: create and update.
import { join } from 'node:path'
import t from 'tap'
import { type Command, defineCommand } from '../../../../cli/command.ts'
import { parseCommand } from '../../../../cli/parse-args.ts'
import { type CreateFlags, createFlags, createSpec } from '../../../../cli/service/create-spec.ts'
import { splitWords } from '../../../../cli/service/csv.ts'
import { type UpdateFlags, updateFlags, updateSpec } from '../../../../cli/service/update-spec.ts'
import { hashTaskSpec } from '../../../../proto/codec/spec-hash.ts'
import { defaultUpdatePolicy, type ServiceSpec } from '../../../../proto/spec/service-spec.ts'

const base = { summary: '', examples: [], run: async () => 0 }
const createCommand = defineCommand({
  ...base,
  name: 'service create',
  args: { usage: 'IMAGE', min: 1, max: 99, stopAtFirst: true },
  flags: createFlags,
})
const updateCommand = defineCommand({
  ...base,
  name: 'service update',
  args: { usage: 'SERVICE', min: 0, max: 1 },
  flags: updateFlags,
})

function parse(command: Command, line: string) {
  const parsed = parseCommand(command, splitWords(line))
  if (parsed.kind === 'help') throw new Error('help')
  return parsed
}

const surroundings = { env: { HOME: '/home/me' }, newName: () => 'swift_otter' }

function create(line: string): ServiceSpec {
  const { flags, args } = parse(createCommand, line)
  return createSpec(flags as CreateFlags, args, surroundings)
}

function update(current: ServiceSpec, line: string): ServiceSpec {
  return updateSpec(current, parse(updateCommand, line).flags as UpdateFlags, surroundings.env)
}

t.test('an image alone is one replica with every default', async (t) => {
  const spec = create('nginx')
  t.strictSame(spec, {
    name: 'swift_otter',
    labels: {},
    mode: { kind: 'replicated', replicas: 1 },
    task: {
      container: {
        image: 'nginx',
        labels: {},
        command: [],
        args: [],
        hostname: '',
        env: [],
        workdir: '',
        user: '',
        groups: [],
        tty: false,
        openStdin: false,
        readOnly: false,
        stopSignal: '',
        stopGraceMs: 10_000,
        mounts: [],
        capAdd: [],
        capDrop: [],
        hosts: [],
        sysctls: {},
        ulimits: [],
        secrets: [],
        configs: [],
      },
      limits: { nanoCpus: 0, memoryBytes: 0, pids: 0 },
      reservations: { nanoCpus: 0, memoryBytes: 0, pids: 0 },
      restart: { condition: 'any', delayMs: 5_000, maxAttempts: 0, windowMs: 0 },
      placement: {
        constraints: [],
        spread: [],
        maxReplicasPerNode: 0,
        platforms: [],
        strategy: '',
      },
      ports: [],
      networks: [],
      forceUpdate: 0,
      dependsOn: [],
      dns: { nameservers: [], search: [], options: [] },
      oomScoreAdj: 0,
    },
    endpointMode: 'vip',
    update: defaultUpdatePolicy,
    rollback: defaultUpdatePolicy,
  })
})

t.test('the flags of updating and going back', async (t) => {
  const spec = create(
    '--update-parallelism 0 --update-delay 10s --update-monitor 1m --update-failure-action rollback --update-max-failure-ratio .2 ' +
      '--update-order start-first --rollback-parallelism 3 --rollback-delay 1s --rollback-monitor 0s ' +
      '--rollback-failure-action continue --rollback-max-failure-ratio 1 --rollback-order start-first nginx',
  )
  t.strictSame(spec.update, {
    parallelism: 0,
    delayMs: 10_000,
    monitorMs: 60_000,
    maxFailureRatio: 0.2,
    order: 'start-first',
    failureAction: 'rollback',
  })
  t.strictSame(spec.rollback, {
    parallelism: 3,
    delayMs: 1_000,
    monitorMs: 0,
    maxFailureRatio: 1,
    order: 'start-first',
    failureAction: 'continue',
  })
  const changed = update(spec, '--update-order stop-first --rollback-parallelism 1')
  t.strictSame(changed.update, { ...spec.update, order: 'stop-first' })
  t.strictSame(changed.rollback, { ...spec.rollback, parallelism: 1 })
  t.throws(() => create('--update-max-failure-ratio 1.5 nginx'), /must be from 0 to 1, such as 0.2/)
  t.throws(() => create('--rollback-failure-action rollback nginx'), /one of pause, continue/)
})

t.test('every flag of create lands in its field', async (t) => {
  const file = join(t.testdir({ env: 'FROM_FILE=1\nA=file\n' }), 'env')
  const spec = create(
    `--name web --label tier=front --replicas 3 --container-label c=1 --entrypoint "sh -c" --hostname h --env-file ${file} ` +
      '-e A=1 -e HOME -w /srv -u 1000:1000 --group video --init -it --read-only --stop-signal SIGINT --stop-grace-period 3s ' +
      '--mount source=data,target=/data --cap-add net_admin --cap-drop CAP_CHOWN --host db:10.0.0.5 --sysctl net.core.somaxconn=1 ' +
      '--ulimit nofile=10:20 --limit-cpu 0.5 --limit-memory 64M --limit-pids 100 --reserve-cpu .25 --reserve-memory 32M ' +
      "--restart-condition on-failure --restart-delay 1s --restart-max-attempts 3 --restart-window 1m --constraint 'node.role==worker' " +
      '--placement-pref spread=node.labels.zone --replicas-max-per-node 1 --placement-strategy binpack ' +
      '-p mode=host,published=8080,target=80 --mode replicated --no-resolve-image -d -q nginx:1 run -d',
  )
  t.strictSame(spec.mode, { kind: 'replicated', replicas: 3 })
  t.strictSame(spec.labels, { tier: 'front' })
  t.strictSame(spec.task.container, {
    image: 'nginx:1',
    labels: { c: '1' },
    command: ['sh', '-c'],
    args: ['run', '-d'],
    hostname: 'h',
    env: ['FROM_FILE=1', 'A=1', 'HOME=/home/me'],
    workdir: '/srv',
    user: '1000:1000',
    groups: ['video'],
    init: true,
    tty: true,
    openStdin: true,
    readOnly: true,
    stopSignal: 'SIGINT',
    stopGraceMs: 3_000,
    mounts: spec.task.container.mounts,
    capAdd: ['CAP_NET_ADMIN'],
    capDrop: ['CAP_CHOWN'],
    hosts: ['db:10.0.0.5'],
    sysctls: { 'net.core.somaxconn': '1' },
    ulimits: [{ name: 'nofile', soft: 10, hard: 20 }],
    secrets: [],
    configs: [],
  })
  t.strictSame(spec.task.limits, { nanoCpus: 5e8, memoryBytes: 64 * 2 ** 20, pids: 100 })
  t.strictSame(spec.task.reservations, { nanoCpus: 25e7, memoryBytes: 32 * 2 ** 20, pids: 0 })
  t.strictSame(spec.task.restart, {
    condition: 'on-failure',
    delayMs: 1_000,
    maxAttempts: 3,
    windowMs: 60_000,
  })
  t.match(spec.task.placement, {
    constraints: ['node.role==worker'],
    spread: ['node.labels.zone'],
    maxReplicasPerNode: 1,
    strategy: 'binpack',
  })
  t.match(spec.task.ports, [{ publishedPort: 8080, targetPort: 80 }])
  const two = create('--network back --endpoint-mode dnsrr nginx')
  t.match(two, { endpointMode: 'dnsrr', task: { networks: [{ target: 'back', aliases: [] }] } })
})

t.test('what cannot be is refused with flag, reason and remedy', async (t) => {
  const cases: readonly (readonly [string, RegExp, string])[] = [
    [
      '--mount target=x:y nginx',
      /mounts\[0\]\.target \("x:y"\) must be an absolute path/,
      'INVALID_ARGUMENT',
    ],
    ['--mount foo nginx', /^invalid argument "foo" for "--mount" flag/, 'USAGE'],
    ['-p 1.2.3.4:80:80 nginx', /for "--publish" flag: must be/, 'USAGE'],
    ['--placement-pref zone nginx', /for "--placement-pref" flag: "zone" is no placement/, 'USAGE'],
    ['--env-file /nonexistent/x nginx', /for "--env-file" flag: cannot read/, 'USAGE'],
    ['--label =x nginx', /for "--label" flag/, 'USAGE'],
    ['--entrypoint "\'x" nginx', /for "--entrypoint" flag/, 'USAGE'],
    ['--name "a b" nginx', /service "a b" is not valid: name/, 'INVALID_ARGUMENT'],
    ['--replicas 1000000 nginx', /for "--replicas" flag: must be from 0 to 100000/, 'USAGE'],
    ['--mode global --replicas 2 nginx', /--replicas can only be used with replicated/, 'USAGE'],
    ['--max-concurrent 2 nginx', /--max-concurrent can only be used with replicated-job/, 'USAGE'],
    ['--mode global-job --schedule @daily nginx', /--schedule can only be used with cron/, 'USAGE'],
    ['--mode cron nginx', /--mode cron needs --schedule/, 'USAGE'],
    ['--mode cron --schedule daily nginx', /mode.schedule .* five fields/, 'INVALID_ARGUMENT'],
    ['--mode foo nginx', /must be one of replicated, global,/, 'USAGE'],
  ]
  for (const [line, message, code] of cases) t.throws(() => create(line), { message, code }, line)
})

t.test('an update that names nothing changes nothing', async (t) => {
  const spec = create(
    '-e B=1 -e A=2 --label x=1 --mount source=a,target=/a --mount source=b,target=/b -p mode=host,target=80 --cap-add ALL nginx run',
  )
  t.strictSame(update(spec, ''), spec)
  t.equal(hashTaskSpec(update(spec, '').task), hashTaskSpec(spec.task))
})

t.test('an update changes what its flags name', async (t) => {
  const spec = create(
    '--name web -e B=1 -e A=2 --label x=1 --container-label c=1 --mount source=a,target=/a --mount source=b,target=/b ' +
      '-p mode=host,published=80,target=80 --cap-add NET_ADMIN --constraint node.role==worker --group g --host a:1.1.1.1 --host a:2.2.2.2 ' +
      '--sysctl s=1 --ulimit nofile=1:2 --placement-pref spread=node.labels.zone nginx run',
  )
  const after = update(
    spec,
    '--image nginx:2 --args "go now" --env-add A=3 --env-add C=4 --env-rm B --label-add y=2 --label-rm x --container-label-add d=2 ' +
      '--mount-rm /a --mount-add source=c,target=/b --publish-add mode=host,published=81,target=80 --cap-drop NET_ADMIN ' +
      '--constraint-rm node.role==worker --constraint-add node.labels.a==1 --group-rm g --group-add h --host-rm a --host-add b:3.3.3.3 ' +
      '--sysctl-rm s --sysctl-add r=2 --ulimit-add nofile=3:4 --placement-pref-rm spread=node.labels.zone --placement-pref-add spread=node.labels.rack ' +
      '--replicas 5 --limit-cpu 2 --reserve-memory 64M --restart-delay 2s --replicas-max-per-node 2 --force web',
  )
  t.strictSame(after.mode, { kind: 'replicated', replicas: 5 })
  t.strictSame(after.labels, { y: '2' })
  t.match(after.task.container, {
    image: 'nginx:2',
    args: ['go', 'now'],
    env: ['A=3', 'C=4'],
    labels: { c: '1', d: '2' },
    mounts: [{ source: 'c', target: '/b' }],
    capAdd: [],
    capDrop: [],
    groups: ['h'],
    hosts: ['b:3.3.3.3'],
    sysctls: { r: '2' },
    ulimits: [{ name: 'nofile', soft: 3, hard: 4 }],
  })
  t.equal(after.task.container.mounts.length, 1)
  t.equal(after.task.container.capAdd.length, 0)
  t.match(after.task, {
    limits: { nanoCpus: 2e9 },
    reservations: { memoryBytes: 64 * 2 ** 20 },
    restart: { delayMs: 2_000, condition: 'any' },
    placement: {
      constraints: ['node.labels.a==1'],
      spread: ['node.labels.rack'],
      maxReplicasPerNode: 2,
    },
    ports: [
      { publishedPort: 80, targetPort: 80 },
      { publishedPort: 81, targetPort: 80 },
    ],
    forceUpdate: 1,
  })
})

t.test('ports are removed by target, and only those there are', async (t) => {
  const spec = create(
    '-p mode=host,published=80,target=80 -p mode=host,published=53,target=53,protocol=udp nginx',
  )
  t.match(update(spec, '--publish-rm 53/udp').task.ports, [{ targetPort: 80 }])
  t.strictSame(update(spec, '--publish-rm 53/udp --publish-rm 80').task.ports, [])
  t.throws(() => update(spec, '--publish-rm 81'), /no port with the target 81\/tcp is published/)
  t.throws(() => update(spec, '--publish-rm x'), /must be a target port/)
  const both = update(spec, '--publish-add 8080:80')
  const left = (line: string): readonly string[] =>
    update(both, line).task.ports.map(({ targetPort, mode }) => `${targetPort} ${mode}`)
  t.strictSame(left('--publish-rm target=80,mode=host'), ['53 host', '80 ingress'])
  t.strictSame(left('--publish-rm published=80,target=80,mode=ingress'), ['80 host', '53 host'])
  t.strictSame(left('--publish-rm target=80'), ['53 host'], 'of both modes')
  t.throws(() => update(spec, '--publish-rm target=80,mode=ingress'), {
    message: /no port with the target 80\/tcp and mode ingress is published/,
  })
})

t.test('an added port comes beside others, or replaces the one published so', async (t) => {
  const spec = create('--publish 8080:80 nginx')
  const published = (line: string): readonly string[] =>
    update(spec, line).task.ports.map(({ publishedPort, targetPort, mode, sources }) =>
      [`${publishedPort}:${targetPort}`, mode, ...sources].join(' '),
    )
  const before = '8080:80 ingress'
  t.strictSame(published('--publish-add 8081:80'), [before, '8081:80 ingress'])
  t.strictSame(published('--publish-add 8080:80'), [before], 'once')
  t.strictSame(published('--publish-add published=8080,target=80,source=10.0.0.0/8'), [
    `${before} 10.0.0.0/8`,
  ])
  t.strictSame(published('--publish-rm 80 --publish-add 8081:80'), ['8081:80 ingress'], 'moved')
  t.strictSame(published('--publish-rm 80 --publish-add published=8080,target=80,mode=host'), [
    '8080:80 host',
  ])
})

// swarm-semantics 3.1: tri-state. Each row: what is added and dropped before, the flags, and after.
const capabilityRows: readonly (readonly [string, string, string, string])[] = [
  ['', '--cap-add NET_ADMIN', '+CAP_NET_ADMIN', 'added'],
  ['--cap-drop CHOWN', '--cap-add chown', '', 'what was dropped is only not dropped any more'],
  ['--cap-add NET_ADMIN', '--cap-drop NET_ADMIN', '', 'and the other way round'],
  ['', '--cap-drop CHOWN', '-CAP_CHOWN', 'dropped'],
  ['', '--cap-add CHOWN --cap-drop CHOWN', '+CAP_CHOWN', 'to be both is to be added'],
  ['--cap-add CHOWN', '--cap-add CHOWN --cap-drop CHOWN', '+CAP_CHOWN', 'also when it is'],
  ['--cap-drop ALL', '--cap-add CHOWN', '+CAP_CHOWN -ALL', 'all but one'],
  ['--cap-add CHOWN --cap-drop KILL', '--cap-add RESET', '-CAP_KILL', 'emptied'],
  [
    '--cap-add CHOWN --cap-drop KILL',
    '--cap-drop reset --cap-drop FOWNER',
    '+CAP_CHOWN -CAP_FOWNER',
    'emptied and filled anew',
  ],
]

t.test('capabilities are added and dropped in three states', async (t) => {
  for (const [before, flags, after, what] of capabilityRows) {
    const { capAdd, capDrop } = update(create(`${before} nginx`), flags).task.container
    const found = [...capAdd.map((name) => `+${name}`), ...capDrop.map((name) => `-${name}`)]
    t.equal(found.join(' '), after, what)
  }
})

t.test('generic resources are reserved by number, changed and removed by kind', async (t) => {
  const spec = create('--generic-resource gpu=2 --generic-resource lane=1 x')
  const gpu = { kind: 'gpu', count: 2, names: [] }
  const lane = { kind: 'lane', count: 1, names: [] }
  t.same(spec.task.reservations.generic, [gpu, lane])
  const changed = update(spec, '--generic-resource-add gpu=3 --generic-resource-rm lane web')
  t.same(changed.task.reservations.generic, [{ ...gpu, count: 3 }])
  const none = update(changed, '--generic-resource-rm gpu web')
  t.equal(hashTaskSpec(none.task), hashTaskSpec(create('x').task), 'without any it is as before')
  t.throws(() => create('--generic-resource gpu=a x'), {
    code: 'USAGE',
    message:
      /"--generic-resource" flag: gpu=a names one of them: a service asks for a number, as gpu=1/,
  })
  t.throws(() => update(spec, '--generic-resource-rm fpga web'), {
    message: /reserves no such resource \(it reserves: gpu, lane\)/,
  })
  t.throws(() => update(none, '--generic-resource-rm gpu web'), { message: /it reserves: none/ })
})

t.test('name servers, search domains and options, and who is killed first', async (t) => {
  const made = create(
    '--dns 10.0.0.2 --dns-search lan --dns-option ndots:2 --oom-score-adj -500 nginx',
  )
  t.match(made.task, {
    dns: { nameservers: ['10.0.0.2'], search: ['lan'], options: ['ndots:2'] },
    oomScoreAdj: -500,
  })
  const { task } = update(
    made,
    '--dns-rm 10.0.0.2 --dns-add 10.0.0.3 --dns-search-rm lan --dns-option-add rotate --oom-score-adj 7',
  )
  t.match(task.dns, { nameservers: ['10.0.0.3'], search: [], options: ['ndots:2', 'rotate'] })
  t.equal(task.oomScoreAdj, 7)
  t.strictSame(update(made, '').task, made.task)
  for (const bad of ['--dns 10.0.0.0/8', '--dns name', '--oom-score-adj 1001']) {
    t.throws(() => create(`${bad} nginx`), bad)
  }
})
