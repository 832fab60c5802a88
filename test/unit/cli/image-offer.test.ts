// What the registry's answer about an image makes of services and stacks, against a daemon in this process.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { isSameImage, pinnedImage } from '../../../cli/service/image-offer.ts'
import { type ErrorCode, SwarmError } from '../../../proto/errors.ts'
import type { ResolveImageResponse } from '../../../proto/gen/tsswarm/v1/daemon.ts'
import { startTestDaemon, type TestDaemon } from '../../support/daemon-server.ts'

const on = (architecture: string) => ({ os: 'linux', architecture })
const unsaid = { digest: '', platforms: [], failure: 'no route to host', isLocal: false }

/** Answers for each image; what is not there is not said. */
async function aDaemon(t: Test, offers: Record<string, Partial<ResolveImageResponse>>) {
  const daemon = await startTestDaemon()
  t.teardown(() => daemon.close())
  const asked: string[] = []
  daemon.daemon['resolveImage'] = async (_caller: unknown, request: { reference: string }) => {
    asked.push(request.reference)
    const offer = offers[request.reference]
    return offer === undefined ? unsaid : { ...unsaid, failure: '', ...offer }
  }
  return { daemon, asked, offers }
}

async function taskOf({ world }: TestDaemon, name: string) {
  const services = world.store.view((tx) => [...tx.all('services')])
  return services.find((one) => one.spec.name === name)?.spec.task
}

async function platforms(daemon: TestDaemon, name: string): Promise<unknown> {
  return (await taskOf(daemon, name))?.placement.platforms
}

async function imageOf(daemon: TestDaemon, name: string): Promise<string | undefined> {
  return (await taskOf(daemon, name))?.container.image
}

const digestOf = (letter: string): string => `sha256:${letter.repeat(64)}`
const [a, b] = [digestOf('a'), digestOf('b')]

t.test('names with what they are pinned to (swarm-semantics 7.5, image)', async (t) => {
  const pins = [
    ['nginx', `nginx:latest@${a}`],
    ['nginx:1', `nginx:1@${a}`],
    ['r.lan:5000/team/app', `r.lan:5000/team/app:latest@${a}`],
    [`nginx:1@${b}`, `nginx:1@${b}`],
    [`nginx@${b}`, `nginx@${b}`],
  ] as const
  for (const [image, pinned] of pins) {
    t.equal(pinnedImage(image, a), pinned)
    t.equal(pinnedImage(image, ''), image, 'nothing is known')
    t.ok(isSameImage(pinned, image), `${pinned} is ${image}`)
    t.notOk(isSameImage(pinned, 'other:1'))
  }
  t.notOk(isSameImage(`nginx:1@${a}`, `nginx:1@${b}`), 'another digest is another image')
})

t.test('a service runs what its tag means, until it is updated (7.5, image)', async (t) => {
  const { daemon, offers } = await aDaemon(t, { 'app:1': { digest: a } })
  await daemon.run('service create -d --name web app:1')
  t.equal(await imageOf(daemon, 'web'), `app:1@${a}`)
  offers['app:1'] = { digest: b }
  await daemon.run('service update -d --env-add A=b web')
  t.equal(await imageOf(daemon, 'web'), `app:1@${a}`, 'another change is about another thing')
  await daemon.run('service update -d --image app:1 web')
  t.equal(await imageOf(daemon, 'web'), `app:1@${b}`, 'the tag has moved on')
  await daemon.run('service rollback -d web')
  t.equal(await imageOf(daemon, 'web'), `app:1@${a}`, 'going back is to the former image')
  delete offers['app:1']
  await daemon.run('service update -d --image app:1 web')
  t.equal(await imageOf(daemon, 'web'), `app:1@${a}`, 'nobody says: it stays')
  await daemon.run('service update -d --image app:2 web')
  t.equal(await imageOf(daemon, 'web'), 'app:2')
  await daemon.run('service create -d --name plain --no-resolve-image app:1')
  t.equal(await imageOf(daemon, 'plain'), 'app:1')
  offers['app:1'] = { digest: b }
  await daemon.run('service update -d --image app:1 plain')
  t.equal(await imageOf(daemon, 'plain'), `app:1@${b}`)
  await daemon.run('service update -d --no-resolve-image --image app:1 plain')
  t.equal(await imageOf(daemon, 'plain'), 'app:1', 'each node asks again')
})

t.test('a stack that is deployed again takes what its tags mean now (4)', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'tsswarm-images-'))
  t.teardown(() => rmSync(dir, { recursive: true }))
  const file = join(dir, 'compose.yml')
  writeFileSync(file, 'services:\n  a: { image: app }\n')
  const { daemon, offers } = await aDaemon(t, { app: { digest: a } })
  const run = async (verb: string, way: string) =>
    await daemon.run(`stack ${verb} -c ${file} --resolve-image ${way} s`)
  await run('deploy', 'always')
  t.equal(await imageOf(daemon, 's_a'), `app:latest@${a}`)
  t.match(await run('plan', 'always'), { stdout: /, 2 unchanged/ }, 'nothing has moved')
  offers['app'] = { digest: b }
  for (const way of ['never', 'changed']) {
    await run('deploy', way)
    t.equal(await imageOf(daemon, 's_a'), `app:latest@${a}`, way)
  }
  t.match(await run('plan', 'always'), { stdout: /container\.image: "app:latest@sha256:a+" -> / })
  await run('deploy', 'always')
  t.equal(await imageOf(daemon, 's_a'), `app:latest@${b}`)
  delete offers['app']
  t.match(await run('plan', 'always'), { stdout: /, 2 unchanged/ }, 'a registry that is away')
})

t.test('a new service takes the platforms of its image (swarm-semantics 2)', async (t) => {
  const both = { platforms: [on('amd64'), on('arm64')] }
  const { daemon, asked } = await aDaemon(t, { 'app:1': both })
  t.match(await daemon.run('service create -d --name web app:1'), { code: 0, stderr: '' })
  t.same(await platforms(daemon, 'web'), both.platforms)
  await daemon.run('service create -d --name plain --no-resolve-image app:1')
  t.same(await platforms(daemon, 'plain'), [])
  t.same(asked, ['app:1'])
})

t.test('one that nobody can say is placed anywhere, with a warning', async (t) => {
  const local = { isLocal: true, failure: 'no route to host' }
  const { daemon } = await aDaemon(t, { 'here:1': local })
  const { stderr } = await daemon.run('service create -d --name web gone:1')
  t.match(stderr, /Warning: .* does not say what it has as gone:1: .*no route to host/)
  t.same(await platforms(daemon, 'web'), [])
  const quiet = await daemon.run('service create -d --name own here:1')
  t.equal(quiet.stderr, '', 'an image of this host may never have been in a registry')
})

t.test('a daemon that fails at it is told of, and one that cannot is not', async (t) => {
  const { daemon } = await aDaemon(t, {})
  const fail = (code: ErrorCode): void => {
    daemon.daemon['resolveImage'] = async () => {
      throw new SwarmError(code, 'the disk is full')
    }
  }
  fail('INTERNAL')
  const warned = await daemon.run('service create -d --name one app:1')
  t.match(warned, { code: 0, stderr: /Warning: .*app:1: .*the disk is full/ })
  fail('UNSUPPORTED')
  t.match(await daemon.run('service create -d --name two app:1'), { code: 0, stderr: '' })
})

t.test('an update asks for a new image only, and drops what was of the former', async (t) => {
  const { daemon, asked } = await aDaemon(t, {
    'app:1': { platforms: [on('amd64')] },
    'app:2': { platforms: [on('arm64')] },
  })
  await daemon.run('service create -d --name web app:1')
  await daemon.run('service update -d --env-add A=b web')
  t.same(await platforms(daemon, 'web'), [on('amd64')])
  await daemon.run('service update -d --image app:2 web')
  t.same(await platforms(daemon, 'web'), [on('arm64')])
  t.same(asked, ['app:1', 'app:2'])
  await daemon.run('service update -d --no-resolve-image --image app:2 web')
  t.same(await platforms(daemon, 'web'), [on('arm64')], 'the same image')
  await daemon.run('service update -d --image app:3 web')
  t.same(await platforms(daemon, 'web'), [])
})

t.test('a plan finds no node for an architecture that none has', async (t) => {
  const { daemon } = await aDaemon(t, { 'app:1': { platforms: [on('s390x')] } })
  await daemon.run('service create -d --name web here:1')
  const none = /needs linux\/s390x|unsupported platform on \d+ node/
  for (const what of ['create --name other app:1', 'update --image app:1 web']) {
    const { code, stdout } = await daemon.run(`plan service ${what}`)
    t.equal(code, 1, what)
    t.match(stdout, none, what)
  }
  t.equal((await daemon.run('plan service create --no-resolve-image --name o app:1')).code, 0)
})

t.test('a stack asks as --resolve-image says, once for each image', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'tsswarm-platforms-'))
  t.teardown(() => rmSync(dir, { recursive: true }))
  const file = join(dir, 'compose.yml')
  const write = (image: string) =>
    writeFileSync(file, `services:\n  a: { image: "${image}" }\n  b: { image: "${image}" }\n`)
  const world = await aDaemon(t, { 'app:1': { platforms: [on('amd64')] } })
  const { daemon, asked, offers } = world
  const deploy = async (way: string) => {
    asked.length = 0
    const { code, stderr } = await daemon.run(`stack deploy -c ${file} --resolve-image ${way} s`)
    t.equal(code, 0, stderr)
    return [...asked]
  }
  write('app:1')
  t.same(await deploy('always'), ['app:1'])
  t.same(await platforms(daemon, 's_b'), [on('amd64')])
  t.same(await deploy('changed'), [])
  delete offers['app:1']
  t.same(await deploy('always'), ['app:1'])
  t.same(await platforms(daemon, 's_a'), [on('amd64')], 'what is not said stays')
  const plan = await daemon.run(`stack plan -c ${file} --resolve-image never s`)
  t.notMatch(plan.stdout, /placement/)
  write('app:2')
  offers['app:2'] = { platforms: [on('arm64')] }
  t.match((await daemon.run(`stack plan -c ${file} s`)).stdout, /placement\.platforms/)
  t.same(await deploy('never'), [])
  t.same(await platforms(daemon, 's_a'), [], 'nobody was asked about the new image')
})
