import t from 'tap'
import type { CommandResult } from '../../../../proto/lib/command.ts'
import { forgetFlows, forgetStrayFlows } from '../../../../worker/network/forget-flows.ts'
import type { CompiledOverlay } from '../../../../worker/network/pieces.ts'
import { SimulatedKernel } from '../../../support/simulated-kernel.ts'

const flow = (protocol: string, backend: string): string =>
  `${protocol} 132 59 src=10.1.0.9 dst=10.1.0.2 sport=5 dport=6 src=${backend} dst=10.1.0.9 sport=6 dport=5 mark=0 use=1`

/** A listing answers with `listing`. */
function aKernel(listing = ''): SimulatedKernel {
  const kernel = new SimulatedKernel()
  const answer: CommandResult = { code: 0, stdout: listing, stderr: '' }
  for (const list of ['sh -c conntrack -L', 'sh -c families=$1;']) kernel.answers.set(list, answer)
  return kernel
}

/** What was forgotten, by its arguments. */
const forgotten = ({ written }: SimulatedKernel): readonly string[] =>
  written.flatMap((line) => line.split('conntrack $line; done sh ').slice(1))

t.test('a few are forgotten as they are told, by one program', async (t) => {
  const kernel = aKernel()
  await forgetFlows(kernel, [
    ['-f', 'ipv6', '--reply-src', 'fd01::5'],
    ['-p', 'udp', '-f', 'ipv4', '--orig-dst', '10.1.0.2', '--reply-src', '10.1.0.5'],
  ])
  t.same(forgotten(kernel), [
    '-D -f ipv6 --reply-src fd01::5 -D -p udp -f ipv4 --orig-dst 10.1.0.2 --reply-src 10.1.0.5',
  ])
  t.equal(kernel.written.length, 1, 'nothing is listed for so few')
})

t.test('what goes with all of an address is not looked for again', async (t) => {
  const kernel = aKernel()
  const whole = ['-f', 'ipv4', '--reply-src', '10.1.0.5']
  const narrow = ['-p', 'udp', '-f', 'ipv4', '--orig-dst', '10.1.0.2', '--reply-src', '10.1.0.5']
  const other = ['-p', 'udp', '-f', 'ipv4', '--orig-dst', '10.1.0.2', '--reply-src', '10.1.0.6']
  await forgetFlows(kernel, [narrow, whole, other, other, narrow])
  t.same(forgotten(kernel), [`-D ${whole.join(' ')} -D ${other.join(' ')}`])
})

t.test('of more only those that the kernel follows, which are listed once', async (t) => {
  const kernel = aKernel([flow('sctp', '10.1.0.5'), flow('udp', '10.1.0.99')].join('\n'))
  const many = Array.from({ length: 20 }, (_, at) => ['--reply-src', `10.1.0.${at}`])
  await forgetFlows(kernel, [...many, ['-f', 'ipv6', '--reply-src', 'fd01::5']])
  t.same(forgotten(kernel), ['-D --reply-src 10.1.0.5'])
  const listings = kernel.written.filter((line) => line.includes('conntrack -L'))
  t.equal(listings.length, 1)
  t.match(listings[0], / sh ipv4 ipv6 -e 10\.1\.0\.0 .* -e fd01::5$/)
})

t.test('all of them where the listing fails', async (t) => {
  const kernel = new SimulatedKernel()
  kernel.answers.set('sh -c families=$1;', { code: 2, stdout: '', stderr: 'no' })
  await forgetFlows(kernel, [
    ['-f', 'ipv4', '--reply-src', '10.1.0.5'],
    ['-f', 'ipv4', '--reply-src', '10.1.0.6'],
    ['-f', 'ipv6', '--reply-src', 'fd01::5'],
  ])
  t.same(forgotten(kernel), [
    '-D -f ipv4 --reply-src 10.1.0.5 -D -f ipv4 --reply-src 10.1.0.6 -D -f ipv6 --reply-src fd01::5',
  ])
})

t.test('what nobody leads is found in the listing', async (t) => {
  const way = { at: '10.1.0.2', serving: ['10.1.0.5'], members: ['10.1.0.5', '10.1.0.6'] }
  const pieces = new Map([['web', { ways: [way], members: way.members }]])
  const overlay: CompiledOverlay = {
    transit: [],
    groups: new Map([['network 1', { sources: [], pieces }]]),
  }
  const lines = [flow('sctp', '10.1.0.6'), flow('udp', '10.1.0.6'), flow('sctp', '10.1.0.7')]
  const kernel = aKernel(lines.join('\n'))
  await forgetStrayFlows(kernel, overlay)
  t.same(forgotten(kernel), [
    '-D -p udp -f ipv4 --orig-dst 10.1.0.2 --reply-src 10.1.0.6 -D -p sctp -f ipv4 --orig-dst 10.1.0.2 --reply-src 10.1.0.7',
  ])
})

t.test('nothing is run where nothing left', async (t) => {
  const kernel = aKernel()
  await forgetFlows(kernel, [])
  await forgetStrayFlows(kernel, undefined)
  t.same(kernel.written, [])
  await forgetStrayFlows(kernel, { transit: [], groups: new Map() })
  t.same(forgotten(kernel), [])
})
