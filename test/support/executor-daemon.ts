// A daemon with nothing but an executor, for tests that kill it: opens the executor on the folders given as JSON, makes
// and starts the containers named, says `ready` and stays.
import { systemClock } from '../../proto/lib/clock.ts'
import { silentLogger } from '../../proto/lib/log.ts'
import { systemRandom } from '../../proto/lib/random.ts'
import { openExecutor } from '../../worker/executor/container/open.ts'
import type { ContainerConfig } from '../../worker/executor/executor.ts'
import { noNetworkAttacher } from '../../worker/executor/network-attacher.ts'

const [, , dirsText = '', configsText = '[]'] = process.argv
const configs: readonly ContainerConfig[] = JSON.parse(configsText)
const signal = new AbortController().signal

const { executor } = await openExecutor({
  dirs: JSON.parse(dirsText),
  clock: systemClock,
  random: systemRandom,
  log: silentLogger,
  network: noNetworkAttacher,
  insecureRegistries: [],
})
const creating = configs.map(async (config) => {
  await executor.create(config, signal)
  if (!config.name.startsWith('created')) await executor.start(config.id, signal)
})
// The name of a container tells what the test wants: one that is cut off in its creation is not awaited.
const awaited = creating.filter((_, index) => !configs[index]?.name.startsWith('cut'))
await Promise.all(awaited)
process.stdout.write('ready\n')
await Promise.allSettled(creating)
setInterval(() => {}, 1 << 30)
