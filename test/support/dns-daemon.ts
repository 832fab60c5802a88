// A daemon with nothing but the side that keeps a resolver, for tests that kill it: starts or adopts the resolver, gives it the
// views, says how and `applied`, and stays. `dns-daemon.js OPTIONS VIEWS`, both JSON.
import { systemClock } from '../../proto/lib/clock.ts'
import { runCommand } from '../../proto/lib/command.ts'
import { silentLogger } from '../../proto/lib/log.ts'
import { systemRandom } from '../../proto/lib/random.ts'
import { createResolverProcess } from '../../worker/network/dns/resolver-process.ts'

const [, , options = '{}', views = '[]'] = process.argv
const resolver = createResolverProcess({
  ...JSON.parse(options),
  run: runCommand,
  clock: systemClock,
  random: systemRandom,
  log: silentLogger,
  onApplied: () => process.stdout.write('applied\n'),
})
process.stdout.write(`${await resolver.start()}\n`)
resolver.setViews(JSON.parse(views), { epoch: 1, index: 1 })
await resolver.run(new AbortController().signal)
