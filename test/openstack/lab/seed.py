"""Flavors, images, networks: what a user of the cloud finds there."""
import os, sys, time
os.environ['OS_CLIENT_CONFIG_FILE'] = os.environ['VMPOOL_OPENSTACK'] + '/clouds.yaml'
import openstack
mode = sys.argv[1]
c = openstack.connect(cloud='admin')
guest, net, gw, pool = sys.argv[2:6]
def until(what, f, s=300):
    end = time.time() + s
    while True:
        try:
            if f():
                return
            err = ''
        except Exception as e:
            err = e
        if time.time() > end:
            sys.exit(f'timeout waiting for {what} {err}')
        time.sleep(0.3)
until('neutron', lambda: list(c.network.networks(limit=1)) is not None)
flavors = {f.name for f in c.compute.flavors()}
for name, ram, vcpus, disk in (('small', 256, 1, 1), ('medium', 512, 1, 1), ('huge', 999999, 1, 1)):
    if name not in flavors:
        c.compute.create_flavor(name=name, ram=ram, vcpus=vcpus, disk=disk)
images = set()
for i in c.image.images():
    if i.status == 'active':
        images.add(i.name)
    else:
        c.image.delete_image(i.id)   # left by an upload that was cut short
def upload(name, path, **kw):
    if name in images:
        return next(i.id for i in c.image.images(name=name))
    data = open(path, 'rb').read() if path else b'\0' * 1048576
    kw = dict(dict(disk_format='raw', container_format='bare'), **kw)
    return c.image.create_image(name=name, visibility='public', min_disk=0, data=data, validate_checksum=False, **kw).id
if mode == 'real':
    k = upload('kernel', guest + '/vmlinuz', disk_format='aki', container_format='aki')
    r = upload('ramdisk', guest + '/initrd', disk_format='ari', container_format='ari')
    # QEMU 7 translates code anew for each address at which it lies: with libraries of each process at places of its
    # own, an emulated login takes three times as long.
    # The kernel's check of the timer fails now and then on a busy machine, and ends in a panic.
    how = dict(disk_format='qcow2', kernel_id=k, ramdisk_id=r, hw_rng_model='virtio', hw_video_model='none',
               os_command_line='console=ttyS0 quiet random.trust_cpu=1 norandmaps no_timer_check panic=5')
    # Two images of one content: what rolls from one to the other is a new id.
    for name in ('debian-vm', 'debian-vm-2'):
        upload(name, guest + '/root.qcow2', **how)
    # For servers that nobody logs in to: their firmware finds nothing to boot, and waits.
    upload('nothing', None)
else:
    for name in ('debian-vm', 'debian-vm-2'):
        upload(name, None)
nets = {n.name: n for n in c.network.networks()}
if 'net0' not in nets:
    n = c.network.create_network(name='net0', shared=True, provider_network_type='flat', provider_physical_network='physnet1', port_security_enabled=True)
    a, b = pool.split(',')
    c.network.create_subnet(name='subnet0', network_id=n.id, ip_version=4, cidr=net, gateway_ip=gw, enable_dhcp=False, allocation_pools=[dict(start=a, end=b)])
# With numbers of servers nobody asks for floating IPs, and Neutron without routers has a tenth less to do for each port.
if mode == 'real' and 'public' not in nets:
    n = c.network.create_network(name='public', provider_network_type='local', **{'router:external': True})
    c.network.create_subnet(name='public', network_id=n.id, ip_version=4, cidr='10.214.0.0/20', enable_dhcp=False)
# For cells that ask for more than VMs with jobs need. Nothing leads there: no host's network card, and no L3 agent.
if mode == 'real' and 'net1' not in nets:
    n = c.network.create_network(name='net1', shared=True, provider_network_type='local', port_security_enabled=True)
    c.network.create_subnet(name='subnet1', network_id=n.id, ip_version=4, cidr='10.215.0.0/20', enable_dhcp=False)
    outside = c.network.find_network('public')
    r = c.network.create_router(name='router', external_gateway_info={'network_id': outside.id})
    c.network.add_interface_to_router(r, subnet_id=c.network.find_subnet('subnet0').id)
# the default security group of the demo project lets everything in, as a lab wants it
d = openstack.connect(cloud='demo')
sg = d.network.find_security_group('default', project_id=d.current_project_id) or next(iter(d.network.security_groups()))
have = {(r.protocol, r.remote_ip_prefix) for r in d.network.security_group_rules(security_group_id=sg.id, direction='ingress')}
for proto in ('tcp', 'icmp'):
    if (proto, '0.0.0.0/0') not in have:
        d.network.create_security_group_rule(security_group_id=sg.id, direction='ingress', ethertype='IPv4', protocol=proto, remote_ip_prefix='0.0.0.0/0')
until('nova-compute', lambda: any(s.binary == 'nova-compute' and s.state == 'up' for s in c.compute.services()))
until('hypervisor', lambda: len(list(c.compute.hypervisors())) > 0)
until('linuxbridge agent', lambda: any(a.agent_type == 'Linux bridge agent' and a.is_alive for a in c.network.agents()))
