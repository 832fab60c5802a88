import t from 'tap'
import { portsGivenBack } from '../../../../../worker/executor/container/ports-of-ended.ts'
import type { ContainerConfig, ExitStatus } from '../../../../../worker/executor/executor.ts'
import type { HostPort } from '../../../../../worker/executor/network-attacher.ts'

const port = (publishedPort: number, protocol: HostPort['protocol'] = 'tcp'): HostPort => ({
  protocol,
  targetPort: 80,
  publishedPort,
})

function container(ports: readonly HostPort[], hasEnded: boolean) {
  let resolve = () => {}
  const released = new Promise<void>((settle) => {
    resolve = settle
  })
  const network: ContainerConfig['network'] = { kind: 'attached', endpoints: [], ports }
  const exit: ExitStatus = { exitCode: 0, oomKilled: false, finishedAtMs: 0 }
  const config = { network } as ContainerConfig
  return { record: { config, ...(hasEnded && { exit }) }, released, release: () => resolve() }
}

/** Whether it settles before anything else happens. */
async function isOver(wait: Promise<void>): Promise<boolean> {
  let over = false
  const note = wait.then(() => {
    over = true
  })
  await new Promise((resolve) => setImmediate(resolve))
  if (over) await note
  return over
}

t.test('a port waits for its former container to be released', async (t) => {
  const ended = container([port(8100)], true)
  const wait = portsGivenBack([port(8100)], [ended])
  t.notOk(await isOver(wait))
  ended.release()
  await wait
})

t.test('nothing else waits', async (t) => {
  const all = [container([port(8100)], true), container([port(8200)], false)]
  t.ok(await isOver(portsGivenBack([port(8101), port(0), port(8100, 'udp')], all)), 'other ports')
  t.ok(await isOver(portsGivenBack([port(8200)], all)), 'one that runs is refused at once')
  t.ok(await isOver(portsGivenBack([], all)), 'no ports')
})
