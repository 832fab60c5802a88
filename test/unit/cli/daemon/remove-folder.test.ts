import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { removeFolder } from '../../../../cli/daemon/remove-folder.ts'
import { runCommand } from '../../../../proto/lib/command.ts'

function aState(base: string): string {
  const state = join(base, 'state')
  for (const folder of ['swarm/raft', 'engine/store', 'engine/volumes/data']) {
    mkdirSync(join(state, folder), { recursive: true })
  }
  writeFileSync(join(state, 'engine/volumes/data/precious'), 'x')
  writeFileSync(join(state, 'swarm/raft/vote'), 'x')
  return state
}

t.test('all of it goes, twice', async (t) => {
  const state = aState(t.testdir())
  await removeFolder(state)
  t.notOk(existsSync(state))
  await removeFolder(state)
})

t.test('a folder below it stays when something is in it, and nothing beside it', async (t) => {
  const state = aState(t.testdir())
  const volumes = join(state, 'engine/volumes')
  await removeFolder(state, volumes)
  t.same(readdirSync(state, { recursive: true }).sort(), [
    'engine',
    'engine/volumes',
    'engine/volumes/data',
    'engine/volumes/data/precious',
  ])
  await removeFolder(volumes)
  mkdirSync(volumes)
  await removeFolder(state, volumes)
  t.notOk(existsSync(state), 'an empty one goes')
})

t.test('a folder that cannot be read is an error', async (t) => {
  const file = join(t.testdir({ file: '' }), 'file')
  await t.rejects(removeFolder(file), { code: 'ENOTDIR' })
})

t.test('what is mounted on it is emptied and stays', async (t) => {
  const folder = join(t.testdir(), 'disk')
  mkdirSync(folder)
  const script = `
    mount -t tmpfs disk "$1" && mkdir -p "$1/a/b" && "$2" --input-type=module -e '
      const { removeFolder } = await import(process.argv[1])
      await removeFolder(process.argv[2])
    ' "$3" "$1" && [ -z "$(ls -A "$1")" ] && mountpoint -q "$1"`
  const module = new URL('../../../../cli/daemon/remove-folder.js', import.meta.url).pathname
  const argv = ['unshare', '--mount', 'sh', '-c', script, 'sh', folder, process.execPath, module]
  const { code, stderr } = await runCommand(argv)
  t.equal(code, 0, stderr)
})
