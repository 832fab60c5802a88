// User namespaces of containers: root inside is nobody on the host, and what containers have otherwise they have here too.
import { chmod, mkdir, readdir, stat, writeFile } from 'node:fs/promises'
import t from 'tap'
import type { CopyOpen, ExecOpen, StreamFrame } from '../../proto/gen/tsswarm/v1/streams.ts'
import { systemClock } from '../../proto/lib/clock.ts'
import { writeTar } from '../../proto/lib/tar.ts'
import { readTar } from '../../proto/lib/tar-stream.ts'
import type { OpenedExecutor } from '../../worker/executor/container/open.ts'
import type { ContainerConfig } from '../../worker/executor/executor.ts'
import { serveCopy } from '../../worker/streams/serve-copy.ts'
import { busyboxImage } from '../support/busybox-image.ts'
import { aJoinedScript, aScript } from '../support/container-configs.ts'
import {
  createExecutorHost,
  hasLogged,
  loadImage,
  never,
  nothingLeft,
  runToEnd,
} from '../support/executor-host.ts'
import { whyNoUserns } from '../support/userns.ts'

t.setTimeout(300_000)

const remap = { uid: 2_100_000_000, gid: 2_100_100_000, size: 65_536 }
const polite = 'trap "exit 3" TERM; echo up; while true; do sleep 1000 & wait $!; done'
const volume = { kind: 'volume', name: 'data', target: '/data' } as const
const mapOf = 'set -- $(cat /proc/self/uid_map); echo "users $*"'
const key = {
  ...{ target: '/run/secrets/key', uid: 1000, gid: 1001, mode: 0o400 },
  data: () => new TextEncoder().encode('key\n'),
}
const scratch = { kind: 'tmpfs', target: '/scratch' } as const
const hostMap = 'users 0 0 4294967295'

t.test('containers with users of their own', { skip: whyNoUserns() }, async (t) => {
  const host = await createExecutorHost()
  t.teardown(() => host.dispose())
  // As the daemon has them: one is its alone, the other leads to the roots of containers.
  await mkdir(host.dirs.stateDir, { mode: 0o700 })
  await chmod(host.dirs.runDir, 0o751)
  const layersDir = `${host.dirs.stateDir}/images/overlay`
  const secretFile = `${host.scratchDir}/of-the-host`
  await writeFile(secretFile, 'of the host', { mode: 0o600 })
  const nullOwner = (await stat('/dev/null')).uid

  const before = await host.open()
  await loadImage(before.images, await busyboxImage())
  const asUser = aJoinedScript(
    'before',
    `${mapOf}; echo old >/data/old; chown app /data/old; mkdir /data/part`,
    {
      mounts: [volume],
    },
  )
  t.equal((await runToEnd(before.executor, asUser)).output, hostMap)
  const layers = await readdir(layersDir)
  await before.executor.remove('before')
  await before.executor.close()

  const opened = await host.open({ remap })
  const { executor } = opened
  const run = async (id: string, script: string, over: Partial<ContainerConfig> = {}) =>
    (await runToEnd(executor, aJoinedScript(id, script, over))).output.split('\n')

  for (const runtime of ['crun', 'runc'] as const) {
    await t.test(`have what others have, with ${runtime}`, async (t) => {
      const id = `all-${runtime}`
      const script = `${mapOf}
        stat -c '%n %u:%g' / /bin/busybox /home/app /data/old /anon /part /run/secrets/key /etc/hosts
        cat /data/old /run/secrets/key; echo 1.2.3.4 other >>/etc/hosts; echo out >/dev/stdout
        touch /own /data/${id} /scratch/own && chown 7:8 /data/${id} && chmod 775 /bin/busybox
        id -G; cat /proc/self/oom_score_adj; grep Seccomp: /proc/self/status; cat /proc/sys/net/ipv4/ping_group_range; ping -c 1 127.0.0.1 | grep -c from
        cat /of-the-host; chown 0 /of-the-host; touch /sys/own`
      const mounts: ContainerConfig['mounts'] = [
        volume,
        { kind: 'volume', target: '/anon' },
        { ...volume, target: '/part', subpath: 'part' },
        scratch,
        { kind: 'bind', source: secretFile, target: '/of-the-host' },
      ]
      const lines = await run(id, script, {
        ...{ runtime, groups: ['29'], mounts, files: [key], oomScoreAdj: 300 },
      })
      t.same(lines, [
        `users 0 ${remap.uid} ${remap.size}`,
        ...[
          '/ 0:0',
          '/bin/busybox 0:0',
          '/home/app 1000:1001',
          '/data/old 1000:0',
          '/anon 0:0',
          '/part 0:0',
        ],
        ...['/run/secrets/key 1000:1001', '/etc/hosts 0:0', 'old', 'key', 'out'],
        ...['0 29', '300', 'Seccomp:\t2', '0\t65535', '1'],
        "cat: can't open '/of-the-host': Permission denied",
        'chown: /of-the-host: Operation not permitted',
        'touch: /sys/own: Read-only file system',
      ])
      const onDisk = async (path: string) => {
        const { uid, gid } = await stat(`${host.dirs.stateDir}/${path}`)
        return { uid, gid }
      }
      const shifted = { uid: remap.uid, gid: remap.gid }
      t.same(await onDisk(`containers/${id}/upper/own`), shifted, 'what it writes is of its range')
      t.same(await onDisk(`containers/${id}/upper/bin/busybox`), shifted, 'so is what it changes')
      t.same(await onDisk(`volumes/data/_data/${id}`), { uid: 7, gid: 8 }, 'in volumes nothing is')
      t.same(await readdir(layersDir), layers, 'layers are those that all containers have')
      t.equal((await stat('/dev/null')).uid, nullOwner, 'the devices of the host keep their owner')
    })
  }

  await t.test('are told what they cannot have', async (t) => {
    const refused = (id: string, over: Partial<ContainerConfig>) =>
      executor.create(aScript(id, 'true', over), never)
    await t.rejects(refused('far', { user: '70000' }), {
      code: 'INVALID_ARGUMENT',
      message:
        /user or group 70000, and containers of this node have the numbers 0 to 65535 .*--userns host/,
    })
    await t.rejects(refused('file', { files: [{ ...key, uid: 70_000 }] }), {
      code: 'INVALID_ARGUMENT',
      message: /key of user 70000/,
    })
    await t.rejects(refused('domain', { sysctls: { 'kernel.domainname': 'a' } }), {
      code: 'UNSUPPORTED',
      message: /kernel\.domainname, which root of a user namespace cannot/,
    })
    await chmod(host.dirs.runDir, 0o750)
    await t.rejects(refused('closed', { runtime: 'runc' }), {
      code: 'UNSUPPORTED',
      message: /which walks to its files as the container's user, and \S+ is closed to others/,
    })
    await chmod(host.dirs.runDir, 0o751)
    const ram = { ...volume, name: 'ram', options: { type: 'ramfs', device: 'ramfs' } }
    await t.rejects(refused('ram', { mounts: [ram] }), {
      code: 'UNSUPPORTED',
      message: /file system of \S+ram\/_data cannot shift owners .*--userns host/,
    })
  })

  await t.test('are not those that are to reach the host', async (t) => {
    const security = { devices: [] }
    t.same(await run('opted', mapOf, { security: { ...security, hostUsers: true } }), [hostMap])
    t.same(await run('open', mapOf, { security: { ...security, privileged: true } }), [hostMap])
    t.same(await run('net', mapOf, { network: { kind: 'host' } }), [hostMap])
  })

  await t.test('go on under a daemon that makes none, with all that is done in them', async (t) => {
    await executor.create(
      aScript('long', polite, { mounts: [volume, scratch], readOnly: true }),
      never,
    )
    await executor.start('long', never)
    await hasLogged(executor, 'long', 'up')
    await executor.close()
    const next = await host.open()
    const ran = (argv: string, over: Partial<ExecOpen> = {}) => ranIn(next, argv, over)
    t.equal(await ran('id -u; id -g', { user: 'app' }), '1000\n1001\n')
    t.match(
      await ran(`${mapOf}; stat -c %u $(tty)`, { tty: true }),
      /^users 0 2100000000 65536\r\n0\r\n$/,
    )
    const probe = { argv: ['/bin/sh', '-c', 'id -u; exit 4'], timeoutMs: 60_000 }
    t.match(await next.executor.probe('long', probe, never), { exitCode: 4, output: '0' })
    t.same((await next.streams.processes('long'))[0]?.user, 'root')

    const archive = writeTar([
      { kind: 'directory', path: 'in', uid: 1000, gid: 1001, mode: 0o750 },
      { kind: 'file', path: 'in/file', data: Buffer.from('x'), uid: 1000, gid: 1001 },
      { kind: 'file', path: 'implied/file', data: Buffer.from('x') },
    ])
    await copied(next, { path: '/data', into: true, keepOwners: true }, archive)
    t.equal(
      await ran('cd /data; stat -c "%n %u:%g %a" in in/file implied implied/file'),
      'in 1000:1001 750\nin/file 1000:1001 644\nimplied 0:0 755\nimplied/file 0:0 644\n',
    )
    const owners = await ownersOf(await copied(next, { path: '/data/in' }))
    t.same(owners, ['1000:1001', '1000:1001'], 'and out')
    const strange = writeTar([{ kind: 'file', path: 'far', data: Buffer.from('x'), uid: 70_000 }])
    await t.rejects(copied(next, { path: '/data', into: true, keepOwners: true }, strange), {
      code: 'INVALID_ARGUMENT',
      message: /has no user 70000/,
    })

    await t.rejects(copied(next, { path: '/scratch', into: true }, archive), {
      code: 'FAILED_PRECONDITION',
      message: /tmpfs of a container with users of its own .*exec --interactive/,
    })

    t.match(await next.executor.stop('long', {}), { exitCode: 3 })
    for (const { id } of await next.executor.list()) await next.executor.remove(id)
    await next.executor.close()
    t.same(await host.leftovers(), nothingLeft)
  })
})

/** What a shell in the container wrote. */
async function ranIn({ streams }: OpenedExecutor, script: string, over: Partial<ExecOpen>) {
  const program = await streams.exec('long', {
    ...{ argv: ['/bin/sh', '-c', script], env: [], workdir: '', user: '', size: undefined },
    ...{ tty: false, interactive: true, detach: false, ...over },
  })
  let output = ''
  for await (const chunk of program.output) output += chunk.toString()
  await program.ended
  return output
}

async function copied(
  { streams }: OpenedExecutor,
  over: Partial<CopyOpen>,
  data?: Uint8Array,
): Promise<Buffer> {
  const copy = { path: '', into: false, keepOwners: true, followLink: false, rename: '', ...over }
  const sent: NonNullable<StreamFrame['kind']>[] = []
  const frames = (async function* (): AsyncGenerator<StreamFrame> {
    if (data === undefined) return
    yield { kind: { $case: 'data', value: data } }
    yield { kind: { $case: 'dataEnd', value: true } }
  })()
  const send = async (kind: NonNullable<StreamFrame['kind']>) => void sent.push(kind)
  await serveCopy(
    streams,
    { id: 'long', copy },
    { frames, send, clock: systemClock, signal: never },
  )
  return Buffer.concat(sent.flatMap((one) => (one.$case === 'data' ? [one.value] : [])))
}

/** `uid:gid` of each member of an archive. */
async function ownersOf(archive: Uint8Array): Promise<readonly string[]> {
  const owners: string[] = []
  const whole = (async function* () {
    yield archive
  })()
  for await (const { header, data } of readTar(whole)) {
    for await (const _ of data);
    owners.push(`${header.uid}:${header.gid}`)
  }
  return owners
}
