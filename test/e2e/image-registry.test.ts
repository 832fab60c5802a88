// A node and a registry that wants a login, refuses, and sends what it should not: what arrives counts only when it is whole.
import { randomBytes } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import t, { type Test } from 'tap'
import { createControlApi } from '../../manager/controlapi/control-api.ts'
import { encodeRegistryAuth } from '../../proto/codec/registry-login.ts'
import { type Clock, systemClock } from '../../proto/lib/clock.ts'
import { runCommand } from '../../proto/lib/command.ts'
import { chainText } from '../../proto/lib/error-chain.ts'
import { silentLogger } from '../../proto/lib/log.ts'
import { featureLevel, nodeId, TaskState } from '../../proto/objects/index.ts'
import { createAgent } from '../../worker/agent.ts'
import { createImagesEngine, type ImageProgress } from '../../worker/engine/images.ts'
import type { OpenExecutorOptions } from '../../worker/executor/container/open.ts'
import type { Executor, RegistryAuth } from '../../worker/executor/executor.ts'
import { parseMirror } from '../../worker/image/registries-conf.ts'
import { openStateFile } from '../../worker/state-file.ts'
import { busyboxImage } from '../support/busybox-image.ts'
import { specOf } from '../support/control.ts'
import { createExecutorHost, loadImage, never } from '../support/executor-host.ts'
import { type Fault, noFault, startFaultyRegistry } from '../support/faulty-registry.ts'
import { MiniCluster } from '../support/mini-cluster.ts'
import { eventually } from '../support/netns.ts'
import { startRegistry } from '../support/registry.ts'

t.setTimeout(600_000)

const S = TaskState

const bcrypt = '$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a'
const auth = { username: 'someone', password: 'secret' }
/** Found nowhere by chance. */
const rare = { username: 'someone', password: 'moon-of-cheese-4711' }
const rareBcrypt = '$2b$05$abcdefghijklmnopqrstuuaBTLtjJXsDS06YQuj2AQiIJzfNjh8CK'
const wrong = { username: 'someone', password: 'wrong-word' }

async function all(steps: AsyncIterable<ImageProgress>): Promise<readonly ImageProgress[]> {
  const seen: ImageProgress[] = []
  for await (const step of steps) seen.push(step)
  return seen
}

async function failure(
  work: Promise<unknown>,
): Promise<{ readonly code: unknown; readonly text: string }> {
  const err = await work.then(
    () => new Error('it did not fail'),
    (cause: unknown) => cause,
  )
  const code = err instanceof Error && 'code' in err ? err.code : undefined
  return { code, text: chainText(err) }
}

async function aWorld(
  t: Test,
  login?: RegistryAuth & { readonly bcrypt: string },
  over: Partial<OpenExecutorOptions> = {},
) {
  const registry = await startFaultyRegistry(login === undefined ? {} : { login })
  t.teardown(() => registry.close())
  const host = await createExecutorHost()
  t.teardown(() => host.dispose())
  const { images } = await host.open({ insecureRegistries: [registry.address], ...over })
  const engine = createImagesEngine(images)
  const leftovers = async (): Promise<readonly string[]> => [
    ...(await readdir(`${host.dirs.stateDir}/image-state/tmp`)),
    ...(await readdir(`${host.dirs.stateDir}/image-state/transfers`)),
    ...(await readdir(`${host.dirs.runDir}/images`)).filter((name) => name.startsWith('auth')),
  ]
  return { registry, images, engine, leftovers, name: `${registry.address}/team/app` }
}

t.test('an image is pushed with credentials, and pulled by digest elsewhere', async (t) => {
  const { registry, images, engine, leftovers, name } = await aWorld(t, { ...auth, bcrypt })
  await loadImage(images, await busyboxImage({ name: 'work/app:1', env: ['V=1'] }))
  await loadImage(images, await busyboxImage({ name: 'work/app:2', env: ['V=2'] }))
  await engine.tag({ source: 'work/app:1', target: `${name}:1` })
  await engine.tag({ source: 'work/app:2', target: `${name}:2` })
  const push = (over: {
    readonly allTags?: boolean
    readonly auth?: RegistryAuth | undefined
    readonly reference?: string
  }) => all(engine.push({ reference: `${name}:1`, allTags: false, auth, ...over }, never))

  await engine.login({ registry: registry.address, auth }, never)
  t.match(await failure(engine.login({ registry: registry.address, auth: wrong }, never)), {
    code: 'UNAUTHENTICATED',
    text: /login attempt to registry .* failed: invalid username\/password/,
  })
  const nobody = engine.login({ registry: '127.0.0.1:1', auth }, never)
  t.match(await failure(nobody), { code: 'UNAVAILABLE', text: /connection refused/ })
  const noHost = engine.login({ registry: 'no/host', auth }, never)
  t.match(await failure(noHost), { code: 'INVALID_ARGUMENT' })

  for (const one of [undefined, wrong]) {
    const refused = await failure(push({ auth: one }))
    t.match(refused, { code: 'UNAUTHENTICATED', text: /^push access denied for .*\(HTTP 401\)$/ })
    t.notMatch(refused.text, /wrong-word/)
  }
  const steps = await push({})
  t.match(steps.at(-2), { step: 'pushed', subject: `${name}:1` })
  const [, digest = ''] =
    /^digest: (sha256:[0-9a-f]{64}) size: [1-9][0-9]*$/.exec(steps.at(-1)?.step ?? '') ?? []
  t.same((await images.get(`${name}:1`)).digests, [`${name}@${digest}`], 'as the registry has it')
  t.same((await images.get('work/app:2')).digests, [], 'no registry is known to have it')
  const both = await push({ reference: name, allTags: true })
  t.same(
    both
      .filter(({ step }) => step === 'pushed')
      .map(({ subject }) => subject)
      .toSorted(),
    [`${name}:1`, `${name}:2`],
  )
  t.match(await failure(push({ reference: `${name}:none` })), { code: 'IMAGE_NOT_FOUND' })
  t.match(await failure(push({ reference: `${name}@${digest}` })), { code: 'INVALID_ARGUMENT' })
  t.match(await failure(push({ allTags: true })), { code: 'INVALID_ARGUMENT', text: /all-tags/ })

  const { id } = await engine.inspect({ reference: `${name}:1` })
  for (const reference of [`${name}:1`, 'work/app:1', `${name}:2`, 'work/app:2']) {
    await engine.remove({ reference, force: false })
  }
  const pinned = `${name}@${digest}`
  t.match(await failure(images.pull(pinned, {})), { code: 'UNAUTHENTICATED', text: /HTTP 401/ })
  t.match(await images.pull(pinned, { auth }), { id }, 'the same image')
  // A busy host may not have the answer within the time in which it is wanted.
  const offered = async (as?: RegistryAuth): Promise<string> =>
    (await engine.resolve({ reference: `${name}:2`, ...(as && { auth: as }) }, never)).failure
  await eventually(async () => (await offered(auth)) === '', 'the registry says what it has')
  await eventually(async () => /^pull access denied/.test(await offered()), 'it wants a login')
  t.same(await leftovers(), [], 'neither credentials nor files are left')
})

/** Managers, and a worker whose daemon pulls for real. Their clock goes on by itself. */
async function aCluster(t: Test, executor: Executor, stateFile: string) {
  const cluster = new MiniCluster()
  await cluster.start('m1', 'w1')
  cluster.addManager('m1')
  await cluster.lead('m1')
  const { clock, random, store } = cluster
  const view = { selfNodeId: () => nodeId('m1'), leaderNodeId: () => nodeId('m1') }
  const api = createControlApi({
    ...{ store, clock, random, newJoinToken: () => '' },
    cluster: { ...view, readBarrier: async () => {}, reachable: () => true },
  })
  const agent = await createAgent({
    ...{ nodeId: nodeId('w1'), executor, clock, random, log: silentLogger },
    transport: cluster.transport('w1'),
    stateFile: openStateFile(stateFile),
    describe: () => ({
      hostname: 'w1',
      platform: { os: 'linux', architecture: 'x86_64' },
      resources: { nanoCpus: 4e9, memoryBytes: 8e9 },
      engineVersion: '1',
      engineLabels: {},
      featureLevel,
      dataPathAddress: '',
    }),
    network: () => ({ kind: 'none' }),
    advertiseAddress: () => '10.0.0.1',
    managers: [{ nodeId: 'm1', address: 'm1' }],
  })
  const life = new AbortController()
  let isOver = false
  const ticking = (async () => {
    while (!isOver) {
      await clock.advance(20)
      await new Promise((resolve) => setImmediate(resolve))
    }
  })()
  const running = agent.run(life.signal)
  t.teardown(async () => {
    life.abort()
    await running
    isOver = true
    await ticking
    await cluster.stop()
  })
  return { cluster, api }
}

/** All forms in which it would be found. */
function formsOf({ username, password }: RegistryAuth): readonly string[] {
  const forms = [password, `${username}:${password}`, JSON.stringify({ username, password })]
  return forms.flatMap((text) => [text, Buffer.from(text).toString('base64').replace(/=+$/, '')])
}

t.test('a node without a login pulls with that of the service, and keeps nothing', async (t) => {
  const registry = await startRegistry({ login: { ...rare, bcrypt: rareBcrypt } })
  t.teardown(() => registry.close())
  await registry.push(await busyboxImage({ name: 'x/y:1', command: ['sleep', '1000'] }), 'app:1')
  const host = await createExecutorHost()
  t.teardown(() => host.dispose())
  const insecureRegistries = [registry.address]
  const { executor, images } = await host.open({ insecureRegistries })
  const { cluster, api } = await aCluster(t, executor, `${host.dirs.stateDir}/tasks.db`)
  const caller = { kind: 'local-admin', nodeId: nodeId('m1') } as const
  const created = async (name: string, registryAuth?: string) => {
    const container = { image: `${registry.address}/app:1` }
    const request = { requestId: name, spec: specOf({ name, container }), registryAuth }
    const { service } = await api.createService(caller, request, never)
    const [id = '', specHash = ''] = [service?.id, service?.specHash]
    await cluster.addTask({ id: name, node: 'w1', service: id, state: S.ASSIGNED, specHash })
    return id
  }
  const reaches = (id: string, state: TaskState): Promise<void> =>
    eventually(async () => cluster.task(id).state === state, `${id} reaches ${state}`)

  await created('open')
  await reaches('open', S.REJECTED)
  t.match(cluster.task('open').err, /access denied.*HTTP 401/)
  const id = await created('web', encodeRegistryAuth(rare))
  await reaches('web', S.RUNNING)
  t.match(await images.list(), [{ names: [`${registry.address}/app:1`] }])

  const shown = await api.getService(caller, { reference: id }, never)
  for (const text of formsOf(rare)) {
    t.notMatch(JSON.stringify(shown), text)
    for (const dir of [host.dirs.stateDir, host.dirs.runDir]) {
      const found = await runCommand(['grep', '-rlaF', '--', text, dir])
      t.match(found, { code: 1, stdout: '' }, `${dir} has nothing of it`)
    }
  }
  const known = await runCommand(['grep', '-rlaF', '--', 'web', `${host.dirs.stateDir}/tasks.db`])
  t.equal(known.code, 0, 'what is looked for would be found')
  await api.removeService(caller, { requestId: 'remove', reference: id }, never)
  t.equal(
    cluster.store.view((tx) => tx.count('registryLogins')),
    0,
  )
})

/** It is tried again at once, not after half a minute. */
const headers = { 'retry-after': '0' }

const refusals: readonly (readonly [number, string, string, RegExp])[] = [
  [404, 'MANIFEST_UNKNOWN: manifest unknown', 'IMAGE_NOT_FOUND', /manifest unknown.*HTTP 404/],
  [403, 'DENIED: requested access to the resource is denied', 'UNAUTHENTICATED', /denied/],
  [
    429,
    'TOOMANYREQUESTS: pull rate limit',
    'UNAVAILABLE',
    /asked too often.*pull rate limit \(HTTP 429\)/,
  ],
  [503, 'UNAVAILABLE: in maintenance', 'UNAVAILABLE', /503/],
]

t.test('what a registry answers is told', async (t) => {
  const { registry, images, leftovers, name } = await aWorld(t)
  await registry.push(await busyboxImage({ name: 'x/y:1', env: ['V=1'] }), 'team/app:1')
  const onBlobs = (fault: Fault) =>
    registry.fail((_, path) => (path.includes('/blobs/') ? fault : undefined))
  for (const [status, words, code, text] of refusals) {
    await t.test(`${status}`, async (t) => {
      registry.fail((_, path) =>
        path.includes('/manifests/') ? { kind: 'refused', status, words, headers } : undefined,
      )
      t.match(await failure(images.pull(`${name}:1`, {})), { code, text })
    })
  }
  for (const [kind, text] of [
    ['torn', /unexpected EOF|EOF/],
    ['changed', /digest|checksum|corrupt|invalid/i],
  ] as const) {
    await t.test(`a layer that is ${kind}`, async (t) => {
      onBlobs({ kind })
      t.match(await failure(images.pull(`${name}:1`, {})), { code: 'UNAVAILABLE', text })
      t.same(await images.list(), [], 'nothing of it counts')
    })
  }
  t.same(await leftovers(), [])
  registry.fail(noFault)
  t.match(await images.pull(`${name}:1`, {}), { reference: `${name}:1` }, 'then it is whole')
})

/** The machine's clock, and how far a test set it forward. */
function aClock() {
  const state = { aheadMs: 0, timers: 0 }
  const clock: Clock = {
    ...systemClock,
    monotonicMs: () => systemClock.monotonicMs() + state.aheadMs,
    setTimer: (delayMs, fn) => {
      state.timers += 1
      return systemClock.setTimer(delayMs, fn)
    },
  }
  return { state, clock }
}

/** Asks for the layer of an image that has one: its path in the registry. */
async function layerPath(address: string): Promise<string> {
  const accept = 'application/vnd.docker.distribution.manifest.v2+json'
  const url = `http://${address}/v2/team/app/manifests/1`
  const answer = await fetch(url, { headers: { accept } })
  const { layers }: { layers: readonly { digest: string }[] } = JSON.parse(await answer.text())
  return `/v2/team/app/blobs/${layers[0]?.digest}`
}

t.test('a registry that is slow is waited for, one that stands still is not', async (t) => {
  const { state, clock } = aClock()
  const { registry, images, leftovers, name } = await aWorld(t, undefined, { clock })
  await registry.push(await busyboxImage({ name: 'x/y:1', env: ['V=1'] }), 'team/app:1')
  const layer = await layerPath(registry.address)
  let doneBytes = 0
  const progress = (step: ImageProgress): void => {
    doneBytes = step.doneBytes
  }
  const grew = async (from: number): Promise<void> =>
    eventually(async () => doneBytes > from, `more than ${from} bytes are here`)

  registry.fail((_, path) => (path === layer ? { kind: 'stalled' } : undefined))
  const stuck = failure(images.pull(`${name}:1`, { progress }))
  await grew(0)
  state.aheadMs += 121_000
  const { code, text } = await stuck
  t.equal(code, 'DEADLINE_EXCEEDED')
  t.match(text, `the pull of ${name}:1 stands still: registry ${registry.address} has sent nothing`)
  t.match(text, / for 120 s, and [1-9][0-9]* of [1-9][0-9]* bytes are here\. Try again/)
  t.same(await leftovers(), [])
  t.same(await images.list(), [])

  // Each piece comes after another 100 s. With the layer here it may be unpacked for longer.
  let pieces = 0
  let seenBytes = 0
  doneBytes = 0
  const next = async (): Promise<void> => {
    pieces += 1
    if (pieces > 1) await grew(seenBytes)
    seenBytes = doneBytes
    state.aheadMs += pieces === 5 ? 1_000_000 : 100_000
    const { timers } = state
    await eventually(async () => state.timers > timers + 2, 'it was looked at')
  }
  const before = state.aheadMs
  registry.fail((_, path) => (path === layer ? { kind: 'slow', pieces: 4, next } : undefined))
  t.match(await images.pull(`${name}:1`, { progress }), { reference: `${name}:1` })
  t.ok(state.aheadMs - before >= 1_400_000, `it took ${state.aheadMs - before} ms`)
  t.same(await leftovers(), [])
})

t.test('a manifest that does not come is not waited for either', async (t) => {
  const { state, clock } = aClock()
  const patience = { answerMs: 1_000, stalledMs: 120_000, unpackMs: 3_600_000 }
  const { registry, images, leftovers, name } = await aWorld(t, undefined, { clock, patience })
  await registry.push(await busyboxImage({ name: 'x/y:1', env: ['V=1'] }), 'team/app:1')
  const silent: Fault = { kind: 'silent' }
  registry.fail((_, path) => (path.includes('/manifests/') ? silent : undefined))
  t.match(await failure(images.pull(`${name}:1`, {})), {
    code: 'UNAVAILABLE',
    text: `cannot pull ${name}:1 from registry ${registry.address}: no answer within 1 s`,
  })

  registry.fail(() => silent)
  t.match(await failure(images.login(registry.address, auth, never)), {
    code: 'UNAVAILABLE',
    text: `cannot log in to registry ${registry.address}: no answer within 1 s`,
  })

  // With all layers here and asked for once more, nothing is left that could grow.
  registry.fail(noFault)
  const { id } = await images.pull(`${name}:1`, {})
  await images.tag(id, 'work/kept:1')
  await images.remove(`${name}:1`, false)
  let asked = 0
  registry.fail((_, path) => {
    if (!path.includes('/manifests/')) return undefined
    asked += 1
    return asked > 1 ? silent : undefined
  })
  const stuck = failure(images.pull(`${name}:1`, {}))
  await eventually(async () => asked > 1, 'it is asked again')
  // It might be unpacking.
  state.aheadMs += 3_601_000
  t.match(await stuck, {
    code: 'DEADLINE_EXCEEDED',
    text: /has sent nothing for 3600 s, and 0 of [1-9][0-9]* bytes are here\. Try again/,
  })
  t.same(await leftovers(), [])
})

t.test('a registry that takes nothing more of a push is given up', async (t) => {
  const { state, clock } = aClock()
  const { registry, images, engine, leftovers, name } = await aWorld(t, undefined, { clock })
  // More than sockets hold.
  const noise = { kind: 'file', path: 'noise', data: randomBytes(32 * 1024 * 1024) } as const
  await loadImage(images, await busyboxImage({ name: `${name}:1`, files: [noise] }))
  const push = async (onBytes: (bytes: number) => void): Promise<void> => {
    const request = { reference: `${name}:1`, allTags: false, auth: undefined }
    for await (const { doneBytes } of engine.push(request, never)) onBytes(doneBytes)
  }
  for (const [method, sent] of [
    ['POST', /\b[0-9]{1,2} of [1-9][0-9]* bytes are sent/],
    ['PATCH', /\b[1-9][0-9]{5,} of [1-9][0-9]* bytes are sent/],
  ] as const) {
    await t.test(method, async (t) => {
      let isStuck = false
      registry.fail((asked) => {
        if (asked !== method) return undefined
        isStuck = true
        return { kind: 'silent' }
      })
      let doneBytes = 0
      let isOver = false
      const stuck = failure(push((bytes) => (doneBytes = bytes))).finally(() => (isOver = true))
      await eventually(
        async () => isStuck && (method === 'POST' || doneBytes > 1e5),
        'it is on its way',
      )
      await eventually(async () => {
        state.aheadMs += 121_000
        return isOver
      }, 'it is given up')
      const { code, text } = await stuck
      t.equal(code, 'DEADLINE_EXCEEDED')
      t.match(
        text,
        `the push of ${name}:1 stands still: registry ${registry.address} has taken nothing`,
      )
      t.match(text, sent)
      t.same(await leftovers(), [])
    })
  }
  registry.fail(noFault)
  await push(() => {})
  t.match(await layerPath(registry.address), /sha256/, 'then it is there')
})

t.test('mirrors are asked before the registry, which is asked when they fail', async (t) => {
  const mirror = await startFaultyRegistry()
  t.teardown(() => mirror.close())
  const registry = await startFaultyRegistry()
  t.teardown(() => registry.close())
  await mirror.push(await busyboxImage({ name: 'x/y:1', env: ['FROM=mirror'] }), 'team/app:1')
  await registry.push(await busyboxImage({ name: 'x/y:1', env: ['FROM=registry'] }), 'team/app:1')
  const registryMirrors = [
    parseMirror(`127.0.0.1:1=http://${mirror.address}`),
    parseMirror(`${registry.address}=http://${mirror.address}`),
  ]
  const host = await createExecutorHost()
  t.teardown(() => host.dispose())
  const { images } = await host.open({ insecureRegistries: [registry.address], registryMirrors })
  const envOf = async (reference: string): Promise<string | undefined> => {
    const { id } = await images.pull(reference, {})
    return (await images.store.config(await images.store.get(id))).env.at(-1)
  }
  t.equal(await envOf('127.0.0.1:1/team/app:1'), 'FROM=mirror', 'the registry itself is not there')
  t.same(
    (await images.list()).flatMap(({ names }) => names),
    ['127.0.0.1:1/team/app:1'],
  )
  mirror.fail(() => ({ kind: 'refused', status: 503, words: 'UNAVAILABLE: in maintenance' }))
  t.equal(await envOf(`${registry.address}/team/app:1`), 'FROM=registry')
  t.match(await failure(images.pull('127.0.0.1:1/team/none:1', {})), { code: 'UNAVAILABLE' })
})
