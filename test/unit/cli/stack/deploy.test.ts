// Stacks against the real control API in this process: what a deployment writes, that it is what the plan said, and that
// a second one writes nothing.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import t, { type Test } from 'tap'
import type { Step } from '../../../../cli/stack/plan-stack.ts'
import type { Service } from '../../../../proto/objects/index.ts'
import { startTestDaemon, type TestDaemon } from '../../../support/daemon-server.ts'

async function aDaemon(t: Test): Promise<TestDaemon> {
  const daemon = await startTestDaemon()
  t.teardown(() => daemon.close())
  await ok(daemon, 'network', 'create', '--ingress', 'ingress')
  return daemon
}

function aFolder(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'tsswarm-stack-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

function write(folder: string, file: string, text: string): string {
  const path = join(folder, file)
  writeFileSync(path, text)
  return path
}

async function ok(daemon: TestDaemon, ...words: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await daemon.run(words)
  if (code !== 0) throw new Error(`${words.join(' ')}: exit ${code}: ${stderr}`)
  return stdout
}

const writes = /^(create|update|remove)(Network|Service|Secret|Config)$/

/** The writes since, as `createService`. */
function written(daemon: TestDaemon, since: number): readonly string[] {
  return daemon.seen
    .slice(since)
    .map(({ method }) => method)
    .filter((method) => writes.test(method))
}

async function planned(daemon: TestDaemon, file: string, stack: string): Promise<readonly Step[]> {
  const text = await ok(daemon, 'stack', 'plan', '-c', file, '--prune', '--format', 'json', stack)
  return text
    .split('\n')
    .filter(Boolean)
    .map((line): Step => JSON.parse(line))
}

const verbs = { create: 'create', change: 'update', remove: 'remove' } as const

/** What the writes of a plan are called. */
function writesOf(steps: readonly Step[]): readonly string[] {
  return steps.flatMap(({ action, kind }) =>
    action === 'keep' || action === 'roll'
      ? []
      : [`${verbs[action]}${kind.slice(0, 1).toUpperCase()}${kind.slice(1)}`],
  )
}

const shop = `
services:
  web:
    image: shop/web:\${TAG:-1}
    command: serve --fast
    environment: {B: "2", A: "1"}
    labels: {inner: "yes"}
    hostname: front
    stop_grace_period: 5s
    ports: ["8080:80", {target: 53, published: 53, protocol: udp, mode: host}]
    networks: {front: {aliases: [www]}, back: }
    volumes: [data:/data, {type: bind, source: /etc, target: /etc2, read_only: true}, {type: tmpfs, target: /t, tmpfs: {size: 4096}}]
    depends_on: [db]
    healthcheck: {test: [CMD, ok], interval: 2s, retries: 2}
    configs: [{source: page, target: /page, mode: 0400}]
    secrets: [key]
    ulimits: {nofile: 100}
    extra_hosts: ["x:10.0.0.1"]
    deploy:
      replicas: 2
      labels: {outer: "yes"}
      endpoint_mode: vip
      update_config: {parallelism: 2, delay: 1s, failure_action: rollback, order: start-first}
      rollback_config: {parallelism: 0}
      resources: {limits: {cpus: "0.5", memory: 64M}, reservations: {memory: 32M}}
      restart_policy: {condition: on-failure, delay: 2s, max_attempts: 3}
      placement: {constraints: [node.role == worker], preferences: [{spread: node.labels.zone}], max_replicas_per_node: 1}
  db:
    image: shop/db
    restart: always
    networks: [back]
networks:
  front: {driver_opts: {com.docker.network.driver.mtu: "1400"}, attachable: true}
  back: {internal: true, labels: {l: m}, driver: bridge}
volumes:
  data: {labels: {v: w}}
secrets: {key: {file: ./key}}
configs: {page: {file: ./page}}
`

t.test('a stack gets the names and labels that Swarm gives it (swarm-semantics 4)', async (t) => {
  const daemon = await aDaemon(t)
  const folder = aFolder(t)
  write(folder, 'key', 'secret')
  write(folder, 'page', '<h1>')
  const file = write(folder, 'shop.yml', shop)
  const plan = await planned(daemon, file, 'shop')
  const since = daemon.seen.length
  const out = await ok(daemon, 'stack', 'deploy', '-c', file, 'shop')
  t.equal(
    out,
    'Creating network shop_back\nCreating network shop_front\nCreating secret shop_key\nCreating config shop_page\n' +
      'Creating service shop_db\nCreating service shop_web\n',
  )
  t.strictSame(written(daemon, since), writesOf(plan))
  const spec = daemon.world.store.view(
    (tx) => [...tx.find('services', 'byName', 'shop_web')][0]?.spec,
  )
  const nets = daemon.world.store.view(
    (tx) => new Map([...tx.all('networks')].map((n) => [n.spec.name, n])),
  )
  const ids = (name: string): string => nets.get(name)?.id ?? ''
  t.match(spec, {
    name: 'shop_web',
    labels: {
      outer: 'yes',
      'com.docker.stack.namespace': 'shop',
      'com.docker.stack.image': 'shop/web:1',
    },
    mode: { kind: 'replicated', replicas: 2 },
    update: {
      parallelism: 2,
      delayMs: 1_000,
      failureAction: 'rollback',
      order: 'start-first',
      monitorMs: 5_000,
    },
    rollback: { parallelism: 0, failureAction: 'pause' },
    task: {
      limits: { nanoCpus: 5e8, memoryBytes: 64 * 2 ** 20 },
      reservations: { memoryBytes: 32 * 2 ** 20 },
      restart: { condition: 'on-failure', delayMs: 2_000, maxAttempts: 3, windowMs: 0 },
      placement: {
        constraints: ['node.role == worker'],
        spread: ['node.labels.zone'],
        maxReplicasPerNode: 1,
      },
      ports: [
        { targetPort: 80, publishedPort: 8080, mode: 'ingress', protocol: 'tcp' },
        { targetPort: 53, publishedPort: 53, mode: 'host', protocol: 'udp' },
      ],
      networks: [
        { target: ids('shop_back'), aliases: ['web'], isLocal: true },
        { target: ids('shop_front'), aliases: ['www', 'web'] },
      ],
      dependsOn: [{ service: 'shop_db', condition: 'started' }],
      container: {
        image: 'shop/web:1',
        labels: { inner: 'yes', 'com.docker.stack.namespace': 'shop' },
        args: ['serve', '--fast'],
        env: ['A=1', 'B=2'],
        hostname: 'front',
        stopGraceMs: 5_000,
        mounts: [
          {
            kind: 'volume',
            source: 'shop_data',
            target: '/data',
            volumeLabels: { v: 'w', 'com.docker.stack.namespace': 'shop' },
          },
          { kind: 'bind', source: '/etc', target: '/etc2', readOnly: true },
          { kind: 'tmpfs', target: '/t', tmpfsSizeBytes: 4096 },
        ],
        healthcheck: { test: ['CMD', 'ok'], intervalMs: 2_000, retries: 2 },
        ulimits: [{ name: 'nofile', soft: 100, hard: 100 }],
        hosts: ['x:10.0.0.1'],
        configs: [{ name: 'shop_page', target: '/page', mode: 0o400, uid: '0' }],
        secrets: [{ name: 'shop_key', target: 'key', mode: 0o444 }],
      },
    },
  })
  t.match(nets.get('shop_front')?.spec, {
    isAttachable: true,
    labels: { 'com.docker.stack.namespace': 'shop' },
  })
  t.match(nets.get('shop_back')?.spec, {
    isInternal: true,
    labels: { l: 'm' },
    driver: 'bridge',
  })

  await t.test('a second deployment writes nothing', async (t) => {
    const since = daemon.seen.length
    t.equal(await ok(daemon, 'stack', 'deploy', '-c', file, 'shop'), '')
    t.strictSame(written(daemon, since), [])
    const plan = await ok(daemon, 'stack', 'plan', '-c', file, 'shop')
    t.match(plan, /^Plan: 0 to create, 0 to change, 0 to remove, 6 unchanged\.$/m)
  })

  await t.test('another content of a file: a new version, which its service gets', async (t) => {
    write(folder, 'key', 'other')
    const since = daemon.seen.length
    const plan = await ok(daemon, 'stack', 'plan', '-c', file, 'shop')
    t.match(plan, /^~ change secret shop_key \(a new version\)$/m)
    t.match(plan, /^~ roll service shop_web /m)
    t.notMatch(plan, /service shop_db \(/)
    await ok(daemon, 'stack', 'deploy', '-c', file, 'shop')
    t.strictSame(written(daemon, since), ['updateSecret'])
    t.match(await ok(daemon, 'stack', 'plan', '-c', file, 'shop'), /0 to change/)
  })

  await t.test(
    'who has a secret gets its new version, whatever else changes or names it',
    async (t) => {
      const two = shop.replace(
        '\nnetworks:',
        '\n  beside: {image: i, secrets: [key], networks: [back]}\nnetworks:',
      )
      const both = write(folder, 'both.yml', two)
      await ok(daemon, 'stack', 'deploy', '-c', both, 'shop')
      const words = ['--name', 'elsewhere', '--secret', 'shop_key', '--mode', 'replicated-job', 'i']
      await ok(daemon, 'service', 'create', '--detach', ...words)
      write(folder, 'key', 'once more')
      const scaled = shop.replace('replicas: 2', 'replicas: 3')
      const changed = write(folder, 'scaled.yml', scaled)
      const plan = await ok(daemon, 'stack', 'plan', '-c', changed, 'shop')
      const why = 'gets a new version of a secret or config'
      t.match(plan, `~ change service shop_web (${why}: tasks are replaced)`)
      t.match(plan, `~ roll service shop_beside (${why}: tasks are replaced)`, 'no file names it')
      t.match(plan, `~ roll service elsewhere (${why}: tasks are run again)`)
      t.notMatch(plan, /service shop_db \(/)
      const pruned = await ok(daemon, 'stack', 'plan', '--prune', '-c', changed, 'shop')
      t.notMatch(pruned, /roll service shop_beside/)
      t.match(pruned, '- remove service shop_beside')
      const all = () =>
        daemon.world.store.view((tx) =>
          [...tx.all('services')].map((one) => [one.spec.name, one.specVersion]),
        )
      const before = new Map(all() as [string, number][])
      await ok(daemon, 'stack', 'deploy', '-c', changed, 'shop')
      const rolled = (all() as [string, number][]).filter(([name, at]) => before.get(name) !== at)
      t.same(rolled.map(([name]) => name).sort(), ['elsewhere', 'shop_beside', 'shop_web'])
      await ok(daemon, 'service', 'rm', 'elsewhere', 'shop_beside')
      await ok(daemon, 'stack', 'deploy', '-c', file, 'shop')
    },
  )

  await t.test('the count of service update --force stays', async (t) => {
    await ok(daemon, 'service', 'update', '--detach', '--force', 'shop_db')
    t.match(await ok(daemon, 'stack', 'plan', '-c', file, 'shop'), /0 to change/)
  })

  await t.test('it is listed, and removed with all that is its own', async (t) => {
    t.match(await ok(daemon, 'stack', 'ls'), /^NAME +SERVICES\nshop +2\n$/)
    const names = await ok(daemon, 'stack', 'services', '--format', '{{.Name}}', 'shop')
    t.equal(names, 'shop_db\nshop_web\n')
    const one = await ok(
      daemon,
      'stack',
      'services',
      '-f',
      'name=shop_w',
      '--format',
      '{{.Name}}',
      'shop',
    )
    t.equal(one, 'shop_web\n')
    t.match(await daemon.run(['stack', 'ps', 'shop']), {
      code: 1,
      stderr: /nothing found in stack: shop/,
    })
    const near = /nothing found in stack: shpo \(did you mean shop\?\)/i
    for (const verb of ['ps', 'services', 'rm', 'history']) {
      t.match(await daemon.run(['stack', verb, 'shpo']), { stderr: near }, verb)
    }
    t.equal(
      await ok(daemon, 'stack', 'rm', 'shop'),
      'Removing service shop_db\nRemoving service shop_web\nRemoving secret shop_key\nRemoving config shop_page\n' +
        'Removing network shop_back\nRemoving network shop_front\n',
    )
    t.match(await daemon.run(['stack', 'rm', 'shop']), {
      code: 0,
      stderr: 'Nothing found in stack: shop\n',
    })
    t.match(await daemon.run(['stack', 'services', 'shop']), {
      code: 0,
      stderr: 'Nothing found in stack: shop\n',
    })
  })
})

t.test('what cannot be is refused before anything is written, with file and line', async (t) => {
  const daemon = await aDaemon(t)
  const folder = aFolder(t)
  await ok(daemon, 'service', 'create', '--detach', '--name', 's_taken', 'i')
  await ok(daemon, 'network', 'create', 's_net')
  const cases: readonly (readonly [string, RegExp])[] = [
    ['services: {a: {}}', /f\.yml:1:15: services\.a\.image: is required/],
    ['services: {a: {image: A}}', /1:23: services\.a: .*no image reference/],
    ['services: {a: {image: i, credential_spec: {file: x}}}', /credential_spec: it is for Windows/],
    ['services: {a: {image: i, isolation: hyperv}}', /isolation: it is for Windows/],
    [
      'services: {a: {image: i, logging: {driver: syslog}}}',
      /logging: .*"syslog" is not available/,
    ],
    [
      'services: {a: {image: i, logging: {options: {tag: x}}}}',
      /logging: .*has the option "tag", which is not available/,
    ],
    ['services: {a: {image: i, networks: [n]}}', /networks\.n: network "n" is not under/],
    [
      'services: {a: {image: i, volumes: ["ab:/b"]}}',
      /volumes\.0\.source: volume "ab" is not under/,
    ],
    ['services: {a: {image: i, volumes: ["v:/b"]}}', /drive of Windows/],
    [
      'services: {a: {image: i, volumes: [{type: image, source: i, target: /x}]}}',
      /"image" is not available/,
    ],
    [
      'services: {a: {image: i, volumes: [{type: tmpfs, source: i, target: /x}]}}',
      /does not go with type tmpfs/,
    ],
    [
      'services: {a: {image: i, volumes: [{type: volume, target: /x, bind: {propagation: shared}}]}}',
      /bind: does not go with/,
    ],
    ['services: {a: {image: i, volumes: [{type: volume}]}}', /target: is required/],
    ['services: {a: {image: i, ports: [{published: 80}]}}', /ports\.0\.target: is required/],
    [
      'services: {a: {image: i, ports: [{target: 80, mode: both}]}}',
      /must be one of ingress, host, not "both"/,
    ],
    ['services: {a: {image: i, ports: [{target: 80000}]}}', /services\.a\.ports: .*targetPort/],
    ['services: {a: {image: i, deploy: {mode: some}}}', /deploy\.mode: must be one of/],
    ['services: {a: {image: i, deploy: {endpoint_mode: x}}}', /endpoint_mode: must be one of/],
    [
      'services: {a: {image: i, deploy: {resources: {limits: {cpus: many}}}}}',
      /cpus: must be a number/,
    ],
    [
      'services: {a: {image: i, deploy: {restart_policy: {condition: x}}}}',
      /condition: must be one of/,
    ],
    ['services: {a: {image: i, restart: sometimes}}', /restart: "sometimes" must be/],
    [
      'services: {a: {image: i, deploy: {update_config: {failure_action: x}}}}',
      /failure_action: must be one of/,
    ],
    [
      'services: {a: {image: i, deploy: {rollback_config: {failure_action: rollback}}}}',
      /must be one of pause, continue/,
    ],
    [
      'services: {a: {image: i, healthcheck: {test: [CMD, a], disable: true}}}',
      /disable: does not go with "test"/,
    ],
    ['services: {a: {image: i, x-healthcheck: {}}}', /x-healthcheck: must be/],
    ['services: {a: {image: i, depends_on: [b]}}', /depends_on: the files have no service "b"/],
    ['services: {a: {image: i, x-depends-on: {a: soon}}}', /x-depends-on\.a: must be one of/],
    ['services: {a: {image: i, secrets: [k]}}', /secrets\.0\.source: "k" is not under/],
    [
      'services: {a: {image: i, secrets: [k]}}\nsecrets: {k: {external: true}}',
      /2:14: secrets\.k: secret "k" is external and is not there/,
    ],
    [
      'services: {a: {image: i}}\nsecrets: {k: {driver: vault}}',
      /secrets\.k\.driver: is not available/,
    ],
    [
      'services: {a: {image: i}}\nsecrets: {k: {file: ./none}}',
      /2:\d+: secrets\.k\.file: cannot read/,
    ],
    [
      'services: {a: {image: i, networks: [n]}}\nnetworks: {n: {external: true}}',
      /network "n" is external and is not there/,
    ],
    [
      'services: {a: {image: i, networks: [n]}}\nnetworks: {n: {driver: macvlan}}',
      /networks\.n\.driver: "macvlan" is not available: networks of a swarm are of the driver overlay or bridge/,
    ],
    [
      'services: {a: {image: i, networks: [n]}}\nnetworks: {n: {ipam: {config: [{subnet: x}]}}}',
      /networks\.n: .*subnet/,
    ],
    [
      'services: {taken: {image: i}}',
      /services\.taken: service "s_taken" is there and of no stack/,
    ],
    [
      'services: {a: {image: i, networks: [net]}}\nnetworks: {net: }',
      /network "s_net" is there and of no stack/,
    ],
  ]
  const since = daemon.seen.length
  for (const [text, message] of cases) {
    const file = write(folder, 'f.yml', text)
    const { code, stderr } = await daemon.run(['stack', 'deploy', '-c', file, 's'])
    t.equal(code, 1, text)
    t.match(stderr, message, text)
    t.match(stderr, /f\.yml:\d+:\d+: /, text)
  }
  t.strictSame(
    written(daemon, since).filter((method) => method !== 'createNetwork'),
    ['createService'],
    'only what the managers refuse is asked',
  )
  for (const [words, message] of [
    [['stack', 'deploy', 's'], /specify a compose file/],
    [['stack', 'deploy', '-c', 'x', '--wait', '-d', 's'], /exclude each other/],
    [['stack', 'deploy', '-c', 'x', '--timeout', '1s', 's'], /goes with --wait/],
    [['stack', 'deploy', '-c', 'x', ' '], /invalid stack name/],
  ] as const) {
    t.match(await daemon.run(words), { code: 125, stderr: message })
  }
  t.match(await daemon.run(['stack', 'deploy', '-c', '/none.yml', 's']), {
    code: 1,
    stderr: /cannot read \/none.yml/,
  })
})

t.test('what Swarm ignores is said with file and line, and deployed without it', async (t) => {
  const daemon = await aDaemon(t)
  const file = write(
    aFolder(t),
    'f.yml',
    'services:\n  a:\n    image: i\n    build: .\n    privileged: true\n    container_name: c\n    restart: "no"\n' +
      '    tmpfs: /t\n    volumes: [{type: bind, source: /tmp, target: /s, consistency: cached}]\n    environment: [GONE]\n    networks: {host: , n: {ipv4_address: 1.2.3.4}}\n' +
      'networks: {host: {external: true}, n: , unused: }\n',
  )
  const { code, stderr } = await daemon.run(['stack', 'deploy', '-c', file, 's'])
  for (const key of [
    'build',
    'privileged',
    'container_name',
    'restart',
    'tmpfs',
    'networks.n.ipv4_address',
  ]) {
    t.match(stderr, new RegExp(`f\\.yml:\\d+:\\d+: services\\.a\\.${key}: .*has no effect`), key)
  }
  t.match(stderr, /environment\.GONE: is left out/)
  t.match(stderr, /networks\.unused: is not made/)
  t.equal(code, 1, 'the host network goes with no other')
})

t.test('what is external and nobody uses need not be there', async (t) => {
  const daemon = await aDaemon(t)
  const file = write(
    aFolder(t),
    'f.yml',
    'services: {a: {image: i}}\nsecrets: {k: {external: true}}\nconfigs: {c: {external: true}}',
  )
  const { code, stderr } = await daemon.run(['stack', 'deploy', '-c', file, 's'])
  t.equal(code, 0)
  t.match(stderr, /f\.yml:2:\d+: secrets\.k: is not looked for: no service uses it/)
  t.match(stderr, /f\.yml:3:\d+: configs\.c: is not looked for: no service uses it/)
})

t.test('--wait ends with 124 when the time is over', async (t) => {
  const daemon = await aDaemon(t)
  const file = write(
    aFolder(t),
    'f.yml',
    'services: {a: {image: i}, b: {image: i, deploy: {replicas: 0}}}',
  )
  const words = ['stack', 'deploy', '-c', file, '--wait', '--timeout', '300ms', 's']
  const late = await daemon.run(words)
  t.match(late, { code: 124, stderr: /2 of 2 services have not converged within 0\.3s/ })
  const none = write(aFolder(t), 'g.yml', 'services: {b: {image: i, deploy: {replicas: 0}}}')
  t.match(await daemon.run(['stack', 'deploy', '-c', none, '--detach=false', 'z']), {
    code: 0,
    stdout: /service z_b:\n.*converged/s,
  })
})

/** What changes of a service, and what then becomes of its tasks. */
const effects: readonly (readonly [string, object, object, string])[] = [
  ['the task', { image: 'i:1' }, { image: 'i:2' }, 'replaced'],
  ['replicas', { deploy: { replicas: 0 } }, { deploy: { replicas: 1 } }, 'kept'],
  ['the endpoint mode', {}, { deploy: { endpoint_mode: 'dnsrr' } }, 'kept'],
  [
    'the place',
    {},
    { deploy: { placement: { constraints: ['node.role==manager'] } } },
    'moved where they no longer fit',
  ],
  [
    'a label of a job',
    { deploy: { mode: 'replicated-job' } },
    { deploy: { mode: 'replicated-job', labels: { a: 'b' } } },
    'run again',
  ],
  [
    'the image of a cron service',
    { 'x-schedule': { cron: '@daily' } },
    { 'x-schedule': { cron: '@daily' }, image: 'i:2' },
    'kept',
  ],
]

t.test('the plan says what becomes of the tasks, and that is what becomes of them', async (t) => {
  const daemon = await aDaemon(t)
  const folder = aFolder(t)
  for (const [at, [what, first, then, effect]] of effects.entries()) {
    const stack = `s${at}`
    const deploy = async (service: object): Promise<void> => {
      const services = { a: { image: 'i:1', ...service } }
      const file = write(folder, 'f.yml', JSON.stringify({ version: '3.13', services }))
      await ok(daemon, 'stack', 'deploy', '-c', file, stack)
    }
    await deploy(first)
    const before = serviceNow(daemon, `${stack}_a`)
    const file = write(
      folder,
      'g.yml',
      JSON.stringify({ version: '3.13', services: { a: { image: 'i:1', ...then } } }),
    )
    const [step] = (await planned(daemon, file, stack)).filter(({ kind }) => kind === 'service')
    t.equal(step?.action === 'change' ? step.tasks : step?.action, effect, what)
    await deploy(then)
    const after = serviceNow(daemon, `${stack}_a`)
    const isOther = before?.specHash !== after?.specHash
    const runs = (after?.jobStatus?.iteration ?? 0) - (before?.jobStatus?.iteration ?? 0)
    t.equal(runs, effect === 'run again' ? 1 : 0, `${what}: runs`)
    if (effect !== 'run again' && after?.cronStatus === undefined) {
      t.equal(isOther, effect !== 'kept', `${what}: another task spec`)
    }
  }
})

function serviceNow(daemon: TestDaemon, name: string): Service | undefined {
  return daemon.world.store.view((tx) =>
    [...tx.all('services')].find(({ spec }) => spec.name === name),
  )
}

/** A project of random services; a word of it changes what is asked. */
const aService = fc.record(
  {
    image: fc.constantFrom('a:1', 'a:2', 'b'),
    command: fc.constantFrom('run', 'run fast'),
    environment: fc.dictionary(fc.constantFrom('A', 'B', 'C'), fc.constantFrom('1', '2'), {
      maxKeys: 2,
    }),
    networks: fc.subarray(['n', 'm'], { minLength: 1 }),
    hostname: fc.constantFrom('h', 'g'),
    ports: fc.subarray([{ target: 80 }, { target: 81, mode: 'host' }]),
    volumes: fc.subarray(['vol:/v', '/anon']),
    labels: fc.dictionary(fc.constantFrom('x', 'y'), fc.constantFrom('1', '2'), { maxKeys: 2 }),
    stop_grace_period: fc.constantFrom('1s', '2m'),
    deploy: fc.record(
      {
        replicas: fc.integer({ min: 0, max: 3 }),
        labels: fc.dictionary(fc.constantFrom('x', 'y'), fc.constantFrom('1', '2'), { maxKeys: 2 }),
        placement: fc.record({ constraints: fc.subarray(['node.role==worker']) }),
        update_config: fc.record({ parallelism: fc.integer({ min: 0, max: 2 }) }),
      },
      { requiredKeys: [] },
    ),
  },
  { requiredKeys: ['image'] },
)
const aProject = fc
  .dictionary(fc.constantFrom('one', 'two', 'three', 'four'), aService, { minKeys: 1, maxKeys: 4 })
  .map((services) => ({ services, networks: { n: {}, m: {} }, volumes: { vol: {} } }))

t.test('the plan is what the deployment then does (property)', async (t) => {
  const daemon = await aDaemon(t)
  const folder = aFolder(t)
  let runs = 0
  await fc.assert(
    fc.asyncProperty(fc.array(aProject, { minLength: 2, maxLength: 3 }), async (projects) => {
      runs += 1
      const stack = `s${runs}`
      for (const project of projects) {
        const file = write(folder, 'p.yml', JSON.stringify(project))
        const before = specsOf(daemon, stack)
        const plan = await planned(daemon, file, stack)
        const since = daemon.seen.length
        await ok(daemon, 'stack', 'deploy', '-c', file, '--prune', stack)
        same(written(daemon, since), writesOf(plan))
        const after = specsOf(daemon, stack)
        for (const step of plan.filter(({ kind }) => kind === 'service')) {
          const [old, now] = [before.get(step.name), after.get(step.name)]
          same(
            [old !== undefined, now !== undefined],
            [step.action !== 'create', step.action !== 'remove'],
          )
          same(old === now, step.action === 'keep')
          const isReplaced = step.action === 'change' && step.tasks !== 'kept'
          if (old !== undefined && now !== undefined) same(taskOf(old) !== taskOf(now), isReplaced)
        }
        same(
          (await planned(daemon, file, stack)).every(({ action }) => action === 'keep'),
          true,
        )
      }
      await ok(daemon, 'stack', 'rm', stack)
      same(specsOf(daemon, stack).size, 0)
    }),
    { numRuns: 10 },
  )
  t.equal(runs >= 10, true)
})

function same(actual: unknown, wanted: unknown): void {
  const [a, b] = [JSON.stringify(actual), JSON.stringify(wanted)]
  if (a !== b) throw new Error(`${a} is not ${b}`)
}

/** The specs of a stack's services as text, by name. */
function specsOf(daemon: TestDaemon, stack: string): ReadonlyMap<string, string> {
  return daemon.world.store.view((tx) => {
    const own = [...tx.all('services')].filter(
      ({ spec }) => spec.labels['com.docker.stack.namespace'] === stack,
    )
    return new Map(own.map(({ spec }) => [spec.name, JSON.stringify(sorted(spec))]))
  })
}

function taskOf(spec: string): string {
  return JSON.stringify(JSON.parse(spec).task)
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  const pairs = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return Object.fromEntries(pairs.map(([key, inner]) => [key, sorted(inner)]))
}

t.test(
  '--atomic brings the whole stack back: services, what was made, what was pruned',
  async (t) => {
    const daemon = await aDaemon(t)
    const folder = aFolder(t)
    write(folder, 'key', 'one')
    const first = {
      services: {
        a: { image: 'i', secrets: ['key'], deploy: { replicas: 0 } },
        b: { image: 'i', deploy: { replicas: 0 } },
      },
      secrets: { key: { file: './key' } },
    }
    const file = write(folder, 'f.yml', JSON.stringify(first))
    await ok(daemon, 'stack', 'deploy', '-c', file, 's')
    const before = specsOf(daemon, 's')
    write(folder, 'key', 'two')
    const second = {
      services: {
        a: { image: 'i:2', secrets: ['key'], networks: ['n'], deploy: { replicas: 1 } },
        c: { image: 'i', networks: ['n'], deploy: { replicas: 0 } },
      },
      networks: { n: {} },
      secrets: { key: { file: './key' } },
    }
    write(folder, 'f.yml', JSON.stringify(second))
    const words = [
      'stack',
      'deploy',
      '-c',
      file,
      '--prune',
      '--atomic',
      '--timeout',
      '1s',
      '-q',
      's',
    ]
    const late = await daemon.run(words)
    t.match(late, { code: 124, stderr: /stack s is brought back to what it was/ })
    t.strictSame(specsOf(daemon, 's'), before)
    const networks = await ok(daemon, 'network', 'ls', '--format', '{{.Name}}')
    t.match(networks, /^s_default$/m)
    t.notMatch(networks, /^s_n$/m)

    await t.test('a step that is refused brings back those before it', async (t) => {
      const refused = { services: { a: { image: 'i:3' }, z: { image: 'UPPER' } } }
      write(folder, 'f.yml', JSON.stringify(refused))
      const { code, stderr } = await daemon.run(words)
      t.equal(code, 1)
      t.match(stderr, /services\.z: .*no image reference/)
      t.strictSame(specsOf(daemon, 's'), before)
    })

    await t.test('a service with an older version of a secret gets the present one', async (t) => {
      write(folder, 'f.yml', JSON.stringify(first))
      const plan = await ok(daemon, 'stack', 'plan', '-c', file, 's')
      t.match(plan, /^~ change service s_a \(tasks are replaced\)\n {6}task\.container\.secrets/m)
      await ok(daemon, 'stack', 'deploy', '-c', file, 's')
      t.match(await ok(daemon, 'stack', 'plan', '-c', file, 's'), /0 to change/)
    })
  },
)
