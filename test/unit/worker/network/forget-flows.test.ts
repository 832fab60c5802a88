import t from 'tap'
import type { CommandResult } from '../../../../proto/lib/command.ts'
import { forgetAssociations, forgetDatagrams } from '../../../../worker/network/forget-flows.ts'

/** Notes what is run, where and for what; a listing answers with `listing`. */
function aKernel(listing = '') {
  const ran: string[] = []
  const run = async (namespace: string, argv: readonly string[]): Promise<CommandResult> => {
    const [, , script = '', , ...rest] = argv
    if (script.includes(' -L ')) return { code: 0, stdout: listing, stderr: '' }
    ran.push([namespace, /-p (\S+)/.exec(script)?.[1], ...rest].join(' '))
    return { code: 0, stdout: '', stderr: '' }
  }
  return { run, ran }
}

t.test('flows of UDP are forgotten by the address they go to, and by the port', async (t) => {
  const kernel = aKernel()
  await forgetDatagrams(kernel, ['10.1.0.5', 'fd01::5'], ['53'])
  t.same(kernel.ran, ['dataPlane udp 10.1.0.5 fd01::5', 'host udp 53'])
})

t.test('associations are forgotten only where one was led to a task that is gone', async (t) => {
  const line = (backend: string): string =>
    `sctp 132 59 ESTABLISHED src=10.1.0.9 dst=10.1.0.2 sport=5 dport=6 src=${backend} dst=10.1.0.9 sport=6 dport=5 mark=0 use=1`
  const kernel = aKernel(['10.1.0.5', '10.1.0.6', '10.1.0.5'].map(line).join('\n'))
  await forgetAssociations(kernel, ['10.1.0.5', '10.1.0.7'])
  t.same(kernel.ran, ['dataPlane sctp 10.1.0.5'])
})

t.test('nothing is run where nothing left', async (t) => {
  const kernel = aKernel()
  await forgetDatagrams(kernel, [], [])
  await forgetAssociations(kernel, [])
  await forgetAssociations(kernel, ['10.1.0.5'])
  t.same(kernel.ran, [])
})
