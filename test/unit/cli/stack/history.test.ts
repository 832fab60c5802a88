// `stack history` and `stack rollback` against the real control API in this process: a revision is what the stack was, and comes back whole.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import t, { type Test } from 'tap'
import { reapPayloads } from '../../../../manager/loops/payload-reaper-loop.ts'
import { canonicalJson } from '../../../../proto/lib/canonical-json.ts'
import { silentLogger } from '../../../../proto/lib/log.ts'
import { namespaceLabel, stackHistoryLevel } from '../../../../proto/objects/index.ts'
import { startTestDaemon, type TestDaemon } from '../../../support/daemon-server.ts'

interface Stage {
  readonly daemon: TestDaemon
  readonly ok: (...words: readonly string[]) => Promise<string>
  /** Deploys a project of services in short and the content of the secret `key`. */
  readonly deploy: (services: object, key?: string, ...more: readonly string[]) => Promise<string>
  /** The same, and how it ended. */
  readonly tryDeploy: (
    services: object,
    key?: string,
    ...more: readonly string[]
  ) => ReturnType<TestDaemon['run']>
  readonly history: (format: string) => Promise<string>
}

async function aStage(t: Test): Promise<Stage> {
  const daemon = await startTestDaemon()
  const folder = mkdtempSync(join(tmpdir(), 'tsswarm-history-'))
  t.teardown(() => {
    daemon.close()
    rmSync(folder, { recursive: true, force: true })
  })
  const ok = async (...words: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await daemon.run(words)
    if (code !== 0) throw new Error(`${words.join(' ')}: exit ${code}: ${stderr}`)
    return stdout
  }
  const file = join(folder, 'f.yml')
  const words = (services: object, key: string, more: readonly string[]): readonly string[] => {
    writeFileSync(join(folder, 'key'), key)
    const project = { services, networks: { n: {} }, secrets: { key: { file: './key' } } }
    writeFileSync(file, JSON.stringify(project))
    return ['stack', 'deploy', '-q', '--prune', '-c', file, ...more, 's']
  }
  await ok('network', 'create', '--ingress', 'ingress')
  return {
    daemon,
    ok,
    deploy: async (services, key = 'hidden', ...more) => await ok(...words(services, key, more)),
    tryDeploy: async (services, key = 'hidden', ...more) =>
      await daemon.run(words(services, key, more)),
    history: async (format) => await ok('stack', 'history', '--format', format, 's'),
  }
}

const short = '{{.Revision}} {{.Kind}} {{.State}}'

function aService(image: string, more: object = {}): object {
  return { image, networks: ['n'], deploy: { replicas: 0 }, ...more }
}

/** The specs of the stack's services, by name; secrets with the id of their version. */
function specsOf(daemon: TestDaemon): ReadonlyMap<string, string> {
  return daemon.world.store.view((tx) => {
    const own = [...tx.all('services')].filter(({ spec }) => spec.labels[namespaceLabel] === 's')
    return new Map(own.map(({ spec }) => [spec.name, canonicalJson(spec)]).sort() as [])
  })
}

const withKey = { secrets: ['key'] }

t.test('the revision before comes back whole, and a second rollback returns', async (t) => {
  const { daemon, ok, deploy, history } = await aStage(t)
  await deploy({ a: aService('i:1', withKey), b: aService('i') }, 'sesame')
  const first = specsOf(daemon)
  await deploy({ a: aService('i:2', withKey), c: aService('i') }, 'swordfish')
  const second = specsOf(daemon)
  t.equal(await history(short), '2 deploy deployed, present\n1 deploy deployed\n')
  const changes = await history('{{.Changes}}')
  t.match(changes, /^~secret key \(data\), ~a \(task\.container\.image\), \+c, -b$/m)
  t.match(changes, /^\+network n, \+secret key, \+a, \+b$/m)
  t.match(
    await ok('stack', 'history', 's'),
    /^REVISION +WHEN +BY +STATE +CHANGES\n2 +.* ago +\S+@m1 +/,
  )
  t.equal(await ok('stack', 'history', '-q', 's'), '2\n1\n')

  await t.test(
    '--dry-run says what would change, as stack plan does, and changes nothing',
    async (t) => {
      const since = daemon.seen.length
      const plan = await ok('stack', 'rollback', '--dry-run', 's')
      t.match(plan, /^Revision 1 of stack s:\n/)
      t.match(plan, /^~ change service s_a \(tasks are replaced\)\n/m)
      t.match(plan, /^ {6}task\.container\.image: "i:2" -> "i:1"$/m)
      t.match(plan, /^\+ create service s_b$/m)
      t.match(plan, /^- remove service s_c$/m)
      t.match(plan, /^Plan: 1 to create, 1 to change, 1 to remove, 1 unchanged\.$/m)
      const asked = daemon.seen.slice(since).map(({ method }) => method)
      t.strictSame(
        asked.filter((method) => !/^(get|list)/.test(method)),
        [],
      )
      t.strictSame(specsOf(daemon), second)
    },
  )

  await t.test('it is brought back, waited for, and is a revision itself', async (t) => {
    const out = await ok('stack', 'rollback', '--wait', '--timeout', '20s', 's')
    t.match(
      out,
      /^Plan: 1 to create.*\nUpdating service s_a .*\nCreating service s_b\nRemoving service s_c\n/ms,
    )
    t.strictSame(specsOf(daemon), first, 'the version of the secret too')
    t.match(await history(short), /^3 rollback deployed, present\n2 deploy deployed\n/)
    t.match(await history('{{.RollbackTo}} {{.Changes}}'), /^1 rollback to 1: ~a \(/)
  })

  await t.test('without a number again: the one that was left', async (t) => {
    await ok('stack', 'rollback', '-q', 's')
    t.strictSame(specsOf(daemon), second)
    t.match(await history('{{.Revision}} {{.RollbackTo}}'), /^4 2\n3 1\n/)
  })

  await t.test('with a number, and to what is there already', async (t) => {
    await ok('stack', 'rollback', '-q', 's', '1')
    t.strictSame(specsOf(daemon), first)
    const since = daemon.seen.length
    t.match(
      await ok('stack', 'rollback', 's', '3'),
      /0 to create, 0 to change, 0 to remove, 3 unch/,
    )
    const asked = daemon.seen.slice(since).map(({ method }) => method)
    t.strictSame(
      asked.filter((method) => !/^(get|list)/.test(method)),
      [],
    )
  })

  await t.test('what changed by hand since is told and set back', async (t) => {
    await ok('service', 'update', '--detach', '--force', 's_a')
    t.match(await ok('stack', 'rollback', '--dry-run', 's', '1'), / 0 to change,/)
    await ok('service', 'scale', '--detach', 's_a=3')
    t.match(await ok('stack', 'rollback', '--dry-run', 's', '1'), /mode\.replicas: 3 -> 0/)
    await ok('network', 'rm', 's_n').catch(() => '')
    await ok('stack', 'rollback', '-q', 's', '1')
  })

  await t.test('nothing of it holds the content of a secret', (t) => {
    const rows = daemon.world.store.view((tx) => [...tx.all('stackRevisions')])
    for (const { content, ...row } of rows) {
      t.notMatch(JSON.stringify(row), /sesame|swordfish/)
      t.notMatch(Buffer.from(content).toString('latin1'), /sesame|swordfish/)
    }
    t.ok(rows.length >= 6)
    t.end()
  })

  await t.test('completion knows stacks and revisions', async (t) => {
    const words = async (...typed: readonly string[]): Promise<string> =>
      (await daemon.run(['__complete', '--', ...typed])).stdout
    t.match(await words('stack', 'rollback', ''), /^s\t/m)
    t.match(await words('stack', 'history', ''), /^s\t/m)
    t.match(await words('stack', 'rollback', 's', ''), /^1\t.* ago$/m)
  })

  await t.test('removing the stack removes its history', async (t) => {
    await ok('stack', 'rm', 's')
    t.match(await daemon.run(['stack', 'history', 's']), {
      code: 1,
      stderr: /nothing found in stack: s/,
    })
    t.match(await daemon.run(['stack', 'rollback', 's']), {
      code: 1,
      stderr: /stack "s" has no history: nothing of it was deployed/,
    })
    await deploy({ a: aService('i') })
    t.equal(await history(short), '1 deploy deployed, present\n')
  })
})

t.test(
  'a deployment that changes nothing is no revision; the first finds what was there',
  async (t) => {
    const { daemon, ok, deploy, history } = await aStage(t)
    const { api, caller, signal } = daemon.world
    await deploy({ a: aService('i:1') })
    await deploy({ a: aService('i:1') })
    t.equal(await history(short), '1 deploy deployed, present\n')
    const before = specsOf(daemon)
    // As if it had been deployed by a version that kept no history.
    t.strictSame(await api.removeStackHistory(caller, { requestId: 'r', stack: 's' }, signal), {
      revisions: 1,
    })
    await deploy({ a: aService('i:2') })
    t.equal(await history(short), '2 deploy deployed, present\n1 found deployed\n')
    t.match(await history('{{.Changes}}'), /^as it was found$/m)
    await ok('stack', 'rollback', '-q', 's')
    t.strictSame(specsOf(daemon), before)
  },
)

t.test('how a deployment ended is told: failed, brought back, interrupted', async (t) => {
  const { daemon, ok, deploy, tryDeploy, history } = await aStage(t)
  await deploy({ a: aService('i:1') })
  const first = specsOf(daemon)
  const refused = await tryDeploy({ a: aService('i:2'), z: aService('UPPER') })
  t.match(refused, { code: 1, stderr: /services\.z: .*no image reference/ })
  t.match(await history(short), /^2 deploy failed, present, .*f\.yml:.*no image reference/)
  t.match(await daemon.run(['stack', 'rollback', 's', '2']), {
    code: 1,
    stderr:
      /revision 2 of stack "s" cannot come back: nothing was kept of it, it is failed \(.*f\.yml/,
  })
  await ok('stack', 'rollback', '-q', 's')
  t.strictSame(specsOf(daemon), first, 'the last that was deployed')

  const atomic = ['--atomic', '--timeout', '300ms']
  const late = { a: aService('i:3', { deploy: { replicas: 1 } }) }
  t.match(await tryDeploy(late, 'hidden', ...atomic), { code: 124 })
  t.match(await history(short), /^4 deploy reverted\n3 rollback deployed, present\n/)
  t.match(await tryDeploy({ z: aService('UPPER') }, 'hidden', ...atomic), { code: 1 })
  t.match(await history('{{.Revision}} {{.State}} {{.Message}}'), /^5 \S+.*no image reference/)

  const waits = ['--wait', '--timeout', '300ms']
  t.match(await tryDeploy(late, 'hidden', ...waits), { code: 124 })
  t.match(await history(short), /^6 deploy deployed, present\n/)
  await ok('stack', 'rollback', '-q', 's')
  const back = await daemon.run(['stack', 'rollback', ...waits, 's', '6'])
  t.match(back, { code: 124, stderr: /1 of 1 services have not converged within 0\.3s/ })
})

t.test('a revision whose version of a secret is gone says so, and nothing changes', async (t) => {
  const { daemon, ok, deploy, history } = await aStage(t)
  await ok('swarm', 'update', '--version-history-limit', '0')
  for (const key of ['one', 'two', 'three']) await deploy({ a: aService('i', withKey) }, key)
  // The one before is the service's previous spec's.
  const { store } = daemon.world
  await reapPayloads({ store, log: silentLogger })
  t.match(
    await history('{{.Revision}} {{.CanComeBack}} {{.Missing}}'),
    /^1 false secret s_key version 1$/m,
  )
  t.match(await history(short), /^1 deploy deployed, secret s_key version 1 is gone$/m)
  const before = specsOf(daemon)
  const { code, stderr } = await daemon.run(['stack', 'rollback', 's', '1'])
  t.equal(code, 1)
  t.match(stderr, /revision 1 of stack "s" cannot come back: version 1 of secret "s_key" is gone\./)
  t.strictSame(specsOf(daemon), before)
  await ok('stack', 'rollback', '-q', 's', '2')
  t.match(specsOf(daemon).get('s_a'), /"s_key"/)
})

t.test('what the swarm has otherwise now is told before anything changes', async (t) => {
  const { daemon, ok, deploy } = await aStage(t)
  await deploy({ a: aService('i:1'), b: aService('i') })
  await ok('service', 'rm', 's_a')
  await deploy({ a: aService('i:1', { deploy: { mode: 'global' } }), b: aService('i') })
  const since = daemon.seen.length
  t.match(await daemon.run(['stack', 'rollback', 's', '1']), {
    code: 1,
    stderr: /^Error: revision 1: service s_a: deploy\.mode cannot change from global to replicated/,
  })
  t.strictSame(
    daemon.seen.slice(since).filter(({ method }) => !/^(get|list)/.test(method)),
    [],
  )
  for (const [words, message] of [
    [['stack', 'rollback', 's', '9'], /stack "s" has no revision 9: "tsswarm stack history s"/],
    [['stack', 'rollback', 's', 'last'], /invalid revision "last"/],
    [['stack', 'rollback', '--timeout', '1s', 's'], /--timeout goes with --wait/],
    [['stack', 'rollback', '--dry-run', '--wait', 's'], /exclude each other/],
  ] as const) {
    t.match(await daemon.run(words), { stderr: message }, words.join(' '))
  }
})

t.test('while a manager knows no history, stacks are deployed without it', async (t) => {
  const { daemon, ok, tryDeploy } = await aStage(t)
  await daemon.world.store.update((tx) => {
    const [cluster] = [...tx.all('cluster')]
    if (cluster === undefined) throw new Error('no cluster')
    tx.remove('cluster', cluster.id)
    tx.create('cluster', { ...cluster, featureLevel: stackHistoryLevel - 1 })
  })
  const { code, stderr } = await tryDeploy({ a: aService('i:1') })
  t.equal(code, 0)
  t.match(stderr, /^Warning: the history of the stack is not kept: .*feature level/m)
  t.equal(specsOf(daemon).size, 1)
  t.match(await daemon.run(['stack', 'history', 's']), { code: 1 })
  await ok('stack', 'rm', 's')
})

t.test('as many are kept as the cluster says', async (t) => {
  const { daemon, ok, deploy, history } = await aStage(t)
  await ok('swarm', 'update', '--stack-history-limit', '2')
  for (const tag of [1, 2, 3, 4, 5]) await deploy({ a: aService(`i:${tag}`) })
  t.equal(await history('{{.Revision}}'), '5\n4\n3\n')
  t.match(await daemon.run(['stack', 'rollback', 's', '2']), { stderr: /has no revision 2/ })
})

const anImage = fc.constantFrom('i:1', 'i:2')
const someServices = fc.dictionary(fc.constantFrom('a', 'b', 'c'), anImage, {
  minKeys: 1,
  maxKeys: 3,
})

t.test('a rollback ends in the specs that its revision had (property)', async (t) => {
  const { daemon, ok, deploy } = await aStage(t)
  const step = fc.record({ services: someServices, key: fc.constantFrom('one', 'two') })
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 2, maxLength: 3 }),
      fc.nat(),
      async (steps, at) => {
        const seen: (readonly [number, ReadonlyMap<string, string>])[] = []
        for (const { services, key } of steps) {
          const all = Object.entries(services).map(([name, image]) => [
            name,
            aService(image, withKey),
          ])
          await deploy(Object.fromEntries(all), key)
          const newest = Number((await ok('stack', 'history', '-q', 's')).split('\n')[0])
          seen.push([newest, specsOf(daemon)])
        }
        const [revision, specs] = seen[at % seen.length] ?? [0, new Map()]
        await ok('stack', 'rollback', '-q', 's', String(revision))
        const [now, wanted] = [specsOf(daemon), specs].map((map) => JSON.stringify([...map]))
        if (now !== wanted) throw new Error(`${now} is not ${wanted}`)
        await ok('stack', 'rm', 's')
      },
    ),
    { numRuns: 4 },
  )
  t.pass()
})
