// A process that makes one volume and fills it, to be killed at any moment: FOLDER IMAGE NAME, "old" for a volume that is there already.
import { systemClock } from '../../proto/lib/clock.ts'
import { systemRandom } from '../../proto/lib/random.ts'
import { createSpawnHelper } from '../../worker/executor/spawn/spawn-helper.ts'
import { VolumeStore } from '../../worker/volume/volume-store.ts'

const [, , dir = '', image = '', name = '', kind = ''] = process.argv
const helper = createSpawnHelper()
const store = new VolumeStore({ dir, helper, clock: systemClock, random: systemRandom })
if (kind === 'old') await store.create({ name, labels: {} })
process.stdout.write('begins\n')
await store.ensure({ name, labels: { made: 'whole' }, fillFrom: (work) => work(image) })
process.stdout.write('done\n')
await helper.close()
