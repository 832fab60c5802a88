// A name server of a simulated host, for end-to-end tests: every name has the IPv4 addresses 192.0.2.1 … of as many records as
// its first label says, and 192.0.2.1 without a number there. `dns-upstream.js ADDRESS`; says `ready`.
import { aFakeUpstream, anAnswer } from './dns.ts'

const [, , address = '127.0.0.53'] = process.argv
await aFakeUpstream(
  (query, isTcp) => {
    const length = query.readUInt8(12)
    const type = query.readUInt16BE(query.indexOf(0, 12) + 1)
    const records = type === 1 ? Number(query.toString('latin1', 13, 13 + length)) || 1 : 0
    const answer = anAnswer(query, 0, records)
    if (isTcp || answer.length <= 512) return [answer]
    const truncated = anAnswer(query, 0, 0)
    truncated.writeUInt8(truncated.readUInt8(2) | 2, 2)
    return [truncated]
  },
  { address, port: 53 },
)
process.stdout.write('ready\n')
