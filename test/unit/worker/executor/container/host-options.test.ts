// What a kernel can is described by files here. With a kernel that has it, executor-options.test.ts tries the rest.
import t from 'tap'
import { appArmorProfile } from '../../../../../worker/executor/container/host-options.ts'

const wants = (appArmor: string) => ({ devices: [], appArmor })

t.test('an AppArmor profile is one that is loaded, where the kernel has any', async (t) => {
  const dir = t.testdir({
    yes: 'Y\n',
    no: 'N\n',
    profiles: 'web (enforce)\n/usr/sbin/mysqld (complain)\nmy own (enforce)\n',
  })
  const armed = { enabled: `${dir}/yes`, profiles: `${dir}/profiles` }
  for (const name of ['web', '/usr/sbin/mysqld', 'my own']) {
    t.equal(await appArmorProfile('c', wants(name), armed), name)
  }
  for (const none of [undefined, wants('unconfined')]) {
    t.equal(await appArmorProfile('c', none, armed), undefined)
  }
  for (const name of ['we', 'web (enforce)', 'my']) {
    await t.rejects(appArmorProfile('c', wants(name), armed), {
      code: 'INVALID_ARGUMENT',
      message: /^c asks for the AppArmor profile .*not loaded on this host: apparmor_parser -r/,
    })
  }
  const closed = { ...armed, profiles: `${dir}/absent` }
  await t.rejects(appArmorProfile('c', wants('web'), closed), { code: 'INVALID_ARGUMENT' })
  for (const enabled of ['no', 'absent']) {
    const bare = { ...armed, enabled: `${dir}/${enabled}` }
    await t.rejects(appArmorProfile('c', wants('web'), bare), {
      code: 'UNSUPPORTED',
      message:
        /the AppArmor profile web, and the kernel of this host has no AppArmor: leave it out/,
    })
    t.equal(await appArmorProfile('c', wants('unconfined'), bare), undefined)
  }
})
