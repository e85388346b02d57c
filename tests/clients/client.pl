#!/usr/bin/perl
# client.pl: what a Perl program does with an image pool, through Sys::Virt
#
# Usage: client.pl URI DIRECTORY IMAGE OUTPUT [PRIMARY]
# Defines and starts a pool on DIRECTORY, stores IMAGE sparsely, clones it, reads the clone into
# OUTPUT, and removes everything.  With PRIMARY, a pool of the host, the image becomes a volume there
# too.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
use strict;
use warnings;
use Sys::Virt;
use Sys::Virt::Stream;

my ($uri, $dir, $image, $output, $primary) = @ARGV;

sub expect {
    my ($what, $ok) = @_;
    die "client.pl: $what\n" unless $ok;
}

my $conn = Sys::Virt->new(uri => $uri);
expect('hostname', length $conn->get_hostname());
expect('capabilities', $conn->get_capabilities() =~ /<capabilities/);
expect('alive', $conn->is_alive());
expect('no domains', (my @none = $conn->list_all_domains()) == 0);

eval { $conn->get_storage_pool_by_name('no-such-pool') };
expect('error code', ref $@ && $@->code == Sys::Virt::Error::ERR_NO_STORAGE_POOL);
expect('error text', $@->message =~ /no storage pool with matching name 'no-such-pool'/);

my $pool = $conn->define_storage_pool(
    "<pool type='imagestore'><name>perl</name><target><path>$dir</path></target></pool>");
$pool->build();
$pool->create();
$pool->set_autostart(1);
expect('autostart', $pool->get_autostart());
expect('running', $pool->get_info()->{state} == Sys::Virt::StoragePool::STATE_RUNNING);
expect('found by uuid', $conn->get_storage_pool_by_uuid($pool->get_uuid())->get_name() eq 'perl');

my $size = -s $image;
my $vol = $pool->create_volume(
    "<volume><name>perl.img</name><capacity>$size</capacity></volume>");
open(my $in, '<:raw', $image) or die "$image: $!\n";
my $st = $conn->new_stream();
$vol->upload($st, 0, 0);
$st->send_all(sub {
    my ($stream, $data, $want) = @_;
    return sysread($in, $_[1], $want);
});
$st->finish();
close $in;

my $info = $vol->get_info();
expect('capacity', $info->{capacity} == $size);
expect('type', $info->{type} == Sys::Virt::StorageVol::TYPE_NETWORK);
expect('found by key', $conn->get_storage_volume_by_key($vol->get_key())->get_name() eq 'perl.img');
expect('found by path', $conn->get_storage_volume_by_path($vol->get_path())->get_name() eq 'perl.img');
my $clone = $pool->clone_volume(
    '<volume><name>clone.img</name><capacity>0</capacity></volume>', $vol);
expect('two volumes', (my @both = $pool->list_all_volumes()) == 2);

open(my $out, '>:raw', $output) or die "$output: $!\n";
$st = $conn->new_stream();
$clone->download($st, 0, 0, Sys::Virt::StorageVol::VOL_DOWNLOAD_SPARSE_STREAM);
my $at = 0;
$st->sparse_recv_all(
    sub {
        my ($stream, $data, $got) = @_;
        sysseek($out, $at, 0);
        $at += $got;
        return syswrite($out, $data, $got);
    },
    sub {
        my ($stream, $length) = @_;
        $at += $length;
        return 0;
    });
$st->finish();
truncate($out, $at);
close $out;
expect('size of the copy', -s $output == $size);

eval { $vol->resize($size * 2) };
expect('a sealed image cannot be resized',
    ref $@ && $@->code == Sys::Virt::Error::ERR_OPERATION_INVALID);
if ($primary) {
    my $theirs = $conn->get_storage_pool_by_name($primary);
    expect('pools of both sides', 2 == grep { $_->get_name() =~ /^(perl|\Q$primary\E)$/ }
        $conn->list_all_storage_pools());
    my $copy = $theirs->clone_volume("<volume><name>perl.img</name><capacity>$size</capacity>"
            . "<target><format type='raw'/></target></volume>", $vol);
    expect('a file', $copy->get_info()->{type} == Sys::Virt::StorageVol::TYPE_FILE);
    expect('found at the host', $conn->get_storage_volume_by_path($copy->get_path())->get_name()
            eq 'perl.img');
    expect('driver of the host', $conn->get_type() eq 'QEMU');
}
$_->delete() for $vol, $clone;
$pool->refresh();
$pool->destroy();
$pool->undefine();
print "done\n";
